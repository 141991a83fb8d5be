import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { link, mkdir, mkdtemp, readdir, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SourceId } from "../../base/index.ts";
import {
  makeTestContext,
  type MemoryBackup,
  restorable,
  takeBackup,
  type TestContext,
} from "../../component/conformance/index.ts";
import { exchangeContent } from "./sqlite-exchange.ts";
import { besidePaths, readPlan, writePlan } from "./sqlite-restore-plan.ts";
import { SqliteSource } from "./sqlite-source.ts";
import { SqliteTarget } from "./sqlite-target.ts";

const id = "service:flags" as SourceId;
let folder: string;
let path: string;
let application: DatabaseSync;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "holdfast-sqlite-")));
  path = join(folder, "app.db");
  application = new DatabaseSync(path, { timeout: 0 });
  application.exec("PRAGMA journal_mode = wal; CREATE TABLE t (a); INSERT INTO t VALUES ('old')");
});
afterEach(async () => {
  if (application.isOpen) application.close();
  await rm(folder, { recursive: true });
});

const source = (at = path): SqliteSource => new SqliteSource(id, { type: "sqlite", path: at });
const target = (at = path): SqliteTarget => new SqliteTarget(id, { type: "sqlite", path: at });
const rows = (database = application): unknown[] =>
  database
    .prepare("SELECT a FROM t ORDER BY a")
    .all()
    .map((row) => row["a"]);
const large = (database: DatabaseSync, megabytes: number): void =>
  database.exec(
    `WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ${megabytes}) INSERT INTO t SELECT randomblob(1000000) FROM c`,
  );

/** A process that opens the database, keeps it open, and tells its rows. */
async function openElsewhere(): Promise<{
  pid: number;
  rows(): Promise<unknown[]>;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const program = `const { DatabaseSync } = require("node:sqlite");
    const database = new DatabaseSync(${JSON.stringify(path)}, { timeout: 5000 });
    const rows = () => database.prepare("SELECT a FROM t ORDER BY a").all().map((row) => typeof row.a === "string" ? row.a : "");
    process.on("message", () => process.send(rows()));
    process.send(rows());`;
  const child: ChildProcess = spawn(process.execPath, ["-e", program], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  await once(child, "message");
  return {
    pid: child.pid ?? 0,
    rows: async () => {
      const answer = once(child, "message");
      child.send("rows");
      return ((await answer) as [unknown[]])[0];
    },
    [Symbol.asyncDispose]: async () => {
      const exited = once(child, "exit");
      child.kill();
      await exited;
    },
  };
}

describe("an SQLite source", () => {
  it.each([
    ["missing", "SERVICE_DATABASE_MISSING", async (at: string) => rm(at, { force: true })],
    ["no database", "SERVICE_UNSUPPORTED", async (at: string) => writeFile(at, "hello ".repeat(1000))],
    ["a folder", "SERVICE_UNSUPPORTED", (at: string) => mkdir(at)],
    ["a link to itself", "SERVICE_PERMISSION_MISSING", async (at: string) => symlink(at, at)],
  ])("says that the file is %s", async (_what, code, make) => {
    const other = join(folder, "other.db");
    await make(other);
    await using context = await makeTestContext();
    const wrong = source(other);
    await expect(wrong.prepare(context)).rejects.toMatchObject({ code, facts: { path: other } });
    await wrong.dispose();
  });

  it("follows a link to the database", async () => {
    const link = join(folder, "link.db");
    await symlink(path, link);
    const backup = await takeBackup(source(link));
    expect(backup.description.counts["table:t"]).toBe(1);
  });

  it("does not stop writers in WAL mode, and freezes beside a long transaction", async () => {
    application.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES ('uncommitted')");
    const backup = await takeBackup(source(), {
      afterFreeze: async () => application.exec("COMMIT; INSERT INTO t VALUES ('later')"),
    });
    expect(backup.description.counts["table:t"]).toBe(1);
    expect(rows()).toEqual(["later", "old", "uncommitted"]);
  });

  it("gives up at the deadline when a rollback journal's writer stays, and without stopping the process", async () => {
    application.exec("PRAGMA journal_mode = delete");
    let ticks = 0;
    const ticker = setInterval(() => (ticks += 1), 5);
    const backup = takeBackup(source(), {
      afterPrepare: async () => application.exec("BEGIN EXCLUSIVE"),
      deadlineMs: 300,
    });
    await expect(backup).rejects.toMatchObject({ code: "FREEZE_FAILED" });
    clearInterval(ticker);
    expect(ticks).toBeGreaterThan(10);
    application.exec("COMMIT");
  });

  it("refuses a database too large for a copy in the hold at once, and lets writers go on", async () => {
    application.exec("PRAGMA journal_mode = delete");
    large(application, 20);
    const startedAt = performance.now();
    await expect(takeBackup(source(), { deadlineMs: 100 })).rejects.toMatchObject({ code: "FREEZE_FAILED" });
    expect(performance.now() - startedAt).toBeLessThan(2000);
    application.exec("INSERT INTO t VALUES ('goes on')");
  });

  it("names damage in a warning", async () => {
    large(application, 2);
    application.exec("CREATE INDEX i ON t (a)");
    application.close();
    const { size } = await stat(path);
    const database = new DatabaseSync(path);
    expect(size).toBeGreaterThan(0);
    database.enableDefensive(false);
    database.exec("PRAGMA writable_schema = on; UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'i'");
    database.close();
    const backup = await takeBackup(source());
    expect(backup.warnings.map((warning) => warning.kind)).toEqual(["sqlite-damaged"]);
  });
});

describe("an SQLite target", () => {
  let backup: MemoryBackup;
  let context: TestContext;
  beforeEach(async () => {
    backup = await takeBackup(source());
    application.exec("UPDATE t SET a = 'new'");
    context = await makeTestContext({ contents: backup.contents });
  });
  afterEach(() => context[Symbol.asyncDispose]());

  it("replaces the content under a connection that stays open", async () => {
    await target().stage(context, restorable(backup));
    expect((await target().swap(context, 5000)).facts).toMatchObject({ method: "content" });
    expect(rows()).toEqual(["old"]);
    await target().settle(context);
    application.exec("INSERT INTO t VALUES ('goes on')");
    expect(rows(new DatabaseSync(path))).toEqual(["goes on", "old"]);
  });

  it("gives up when a writer keeps the lock, and the old data stays", async () => {
    await target().stage(context, restorable(backup));
    application.exec("BEGIN IMMEDIATE");
    await expect(target().swap(context, 300)).rejects.toMatchObject({ code: "SERVICE_SWAP_FAILED" });
    application.exec("COMMIT");
    await target().revert(context);
    expect(rows()).toEqual(["new"]);
    expect((await readdir(folder)).filter((name) => name.includes("holdfast"))).toEqual([]);
  });

  it("keeps what was written after a failed swap when it is reverted", async () => {
    await target().stage(context, restorable(backup));
    application.exec("BEGIN IMMEDIATE");
    await expect(target().swap(context, 100)).rejects.toMatchObject({ code: "SERVICE_SWAP_FAILED" });
    application.exec("INSERT INTO t VALUES ('after'); COMMIT");
    await target().revert(context);
    expect(rows()).toEqual(["after", "new"]);
  });

  it.each(["wal", "delete"])(
    "renames a database in %s mode that nobody has open, whatever its size, and can go back to the same mode",
    async (mode) => {
      large(application, 20);
      application.exec(`PRAGMA journal_mode = ${mode}`);
      application.close();
      await target().stage(context, restorable(backup));
      const report = await target().swap(context, 100);
      expect(report.facts).toEqual({ method: "rename" });
      expect(context.warnings).toEqual([]);
      const fresh = new DatabaseSync(path);
      expect(rows(fresh)).toEqual(["old"]);
      fresh.close();
      await target().revert(context);
      application = new DatabaseSync(path);
      expect(rows()).toHaveLength(21);
      expect(application.prepare("PRAGMA journal_mode").get()).toMatchObject({ journal_mode: mode });
      expect((await readdir(folder)).filter((name) => name.includes("holdfast"))).toEqual([]);
    },
  );

  it("goes back to the log of a database whose exchange died half-way", async () => {
    application.close();
    await target().stage(context, restorable(backup));
    const plan = await readPlan(context.workDirectory);
    if (plan === undefined) throw new Error("no plan");
    await writePlan(context.workDirectory, { ...plan, method: "rename", wal: true });
    const dying = new DatabaseSync(path);
    dying.exec("PRAGMA journal_mode = delete");
    dying.close();
    await link(path, besidePaths(path, context.operationId).old);
    await target().revert(context);
    application = new DatabaseSync(path);
    expect(application.prepare("PRAGMA journal_mode").get()).toMatchObject({ journal_mode: "wal" });
    expect(rows()).toEqual(["new"]);
    expect((await readdir(folder)).filter((name) => name.includes("holdfast"))).toEqual([]);
  });

  it.each([
    ["wal", "content"],
    ["delete", "pages"],
    ["truncate", "pages"],
    ["persist", "pages"],
  ])("reaches a process of its own that has the %s database open, forth and back", async (mode, method) => {
    application.exec(`PRAGMA journal_mode = ${mode}`);
    application.close();
    await using other = await openElsewhere();
    await target().stage(context, restorable(backup));
    expect((await target().swap(context, 5000)).facts).toMatchObject({ method });
    expect(await other.rows()).toEqual(["old"]);
    await target().revert(context);
    expect(await other.rows()).toEqual(["new"]);
  });

  it("refuses what would take longer than there is while a process has it open, names it, and changes nothing", async () => {
    large(application, 20);
    application.close();
    await using other = await openElsewhere();
    await target().stage(context, restorable(backup));
    await expect(target().swap(context, 150)).rejects.toMatchObject({
      code: "SERVICE_SWAP_FAILED",
      message: expect.stringContaining(`process ${other.pid} (node)`) as string,
    });
    expect(await other.rows()).toHaveLength(21);
    await target().revert(context);
    expect(await other.rows()).toHaveLength(21);
  });

  it("brings the old content to a process that went on with the renamed file, when a dead restore is undone", async () => {
    application.close();
    await target().stage(context, restorable(backup));
    expect((await target().swap(context, 5000)).facts).toEqual({ method: "rename" });
    await using other = await openElsewhere();
    expect(await other.rows()).toEqual(["old"]);
    await target().revert(context);
    expect(await other.rows()).toEqual(["new"]);
    application = new DatabaseSync(path);
    expect(rows()).toEqual(["new"]);
  });

  it.each(["wal", "delete"])("saves what is committed in %s mode until the exchange has the lock", async (mode) => {
    application.exec(`PRAGMA journal_mode = ${mode}`);
    await target().stage(context, restorable(backup));
    const plan = await readPlan(context.workDirectory);
    if (plan === undefined) throw new Error("no plan");
    const paths = besidePaths(path, context.operationId);
    let saves = 0;
    await exchangeContent(
      plan,
      paths,
      () => 5000,
      async () => {
        saves += 1;
        if (saves === 1) application.exec("INSERT INTO t VALUES ('late')");
      },
    );
    expect(saves).toBe(2);
    expect(rows()).toEqual(["old"]);
    await writePlan(context.workDirectory, { ...plan, method: "content" });
    await target().revert(context);
    expect(rows()).toEqual(["late", "new"]);
  });

  it("says how long a slow exchange took, and because of whom", async () => {
    await target().stage(context, restorable(backup));
    let now = 0;
    const clock = { ...context.clock, monotonicMs: () => (now += 1000) };
    await target().swap({ ...context, clock }, 1_000_000);
    expect(context.warnings).toMatchObject([
      { kind: "sqlite-slow-swap", message: expect.stringContaining(`process ${process.pid} (node)`) as string },
    ]);
  });

  it("restores to where there is no file, with the mode it had, and reverts to none", async () => {
    application.close();
    await rm(path);
    await target().stage(context, restorable(backup));
    await target().swap(context, 5000);
    application = new DatabaseSync(path);
    expect(rows()).toEqual(["old"]);
    application.close();
    await target().revert(context);
    expect(await readdir(folder)).toEqual([]);
  });

  it("refuses a backup that is no database, and names that do not belong there", async () => {
    const content = await context.contents.storeStream(
      (async function* () {
        yield Buffer.from("no database ".repeat(1000));
      })(),
    );
    const entries = backup.entries.map((entry) => (entry.content === undefined ? entry : { ...entry, content }));
    await expect(target().stage(context, restorable({ ...backup, entries }))).rejects.toMatchObject({
      code: "SERVICE_STAGE_FAILED",
    });
    const escaping = backup.entries.map((entry) =>
      entry.content === undefined ? entry : { ...entry, path: Buffer.from("../x") },
    );
    await expect(target().stage(context, restorable({ ...backup, entries: escaping }))).rejects.toMatchObject({
      code: "ENTRY_UNSAFE",
    });
    await target().revert(context);
    expect(rows()).toEqual(["new"]);
    expect((await readdir(folder)).filter((name) => name.includes("holdfast"))).toEqual([]);
  });
});
