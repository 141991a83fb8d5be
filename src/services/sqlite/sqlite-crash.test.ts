import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { takeBackup } from "../../component/conformance/index.ts";
import { crashEverywhere, crashId, type CrashSubject } from "../conformance/crash-everywhere.ts";
import { SqliteSource } from "./sqlite-source.ts";
import { SqliteTarget } from "./sqlite-target.ts";

let folder: string;
let data: string;
let path: string;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "holdfast-sqlite-crash-")));
  data = join(folder, "data");
  await mkdir(data);
  path = join(data, "app.db");
});
afterEach(() => rm(folder, { recursive: true }));

/** 300 rows with one that tells which state it is; "before" has more rows and an index, so both size and schema differ. */
function fill(which: "wanted" | "before"): void {
  const database = new DatabaseSync(path, { timeout: 5000 });
  database.exec(
    "BEGIN; CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, a); DELETE FROM t; DROP INDEX IF EXISTS i",
  );
  const insert = database.prepare("INSERT INTO t VALUES (?, ?)");
  for (let id = 0; id < (which === "before" ? 400 : 300); id += 1)
    insert.run(id, id % 60 === 0 ? which.repeat(100) : "the same ".repeat(40));
  if (which === "before") database.exec("CREATE INDEX i ON t (a)");
  database.exec("COMMIT");
  database.close();
}

function liveState(): string {
  const database = new DatabaseSync(path, { timeout: 5000 });
  try {
    return [
      "PRAGMA integrity_check",
      "SELECT * FROM t ORDER BY id",
      "SELECT sql FROM sqlite_schema",
      "PRAGMA journal_mode",
    ]
      .map((sql) => JSON.stringify(database.prepare(sql).all()))
      .join("\n");
  } finally {
    database.close();
  }
}

/** A process that has the database open and prepared; tells its own view when asked. */
async function openElsewhere(): Promise<{ rows(): Promise<number>; end(): Promise<void> }> {
  const program = `const { DatabaseSync } = require("node:sqlite");
    const database = new DatabaseSync(${JSON.stringify(path)}, { timeout: 5000 });
    const count = database.prepare("SELECT count(*) AS n, sum(length(a)) FROM t");
    process.on("message", () => process.send(count.get().n));
    process.send(count.get().n);`;
  const child: ChildProcess = spawn(process.execPath, ["-e", program], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  await once(child, "message");
  return {
    rows: async () => {
      const answer = once(child, "message");
      child.send("rows");
      return Number(((await answer) as unknown[])[0]);
    },
    end: async () => {
      const exited = once(child, "exit");
      child.kill();
      await exited;
    },
  };
}

async function subject(mode: string): Promise<CrashSubject> {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode = ${mode}`);
  database.close();
  fill("wanted");
  const config = { type: "sqlite" as const, path };
  const backup = await takeBackup(new SqliteSource(crashId, config));
  fill("before");
  return {
    config,
    backup,
    folder,
    every: 3,
    target: () => new SqliteTarget(crashId, config),
    liveState: () => Promise.resolve(liveState()),
    leftovers: async () => (await readdir(data)).filter((name) => !/^app\.db(-wal|-shm)?$/.test(name)),
    reset: () => Promise.resolve(fill("before")),
  };
}

describe("a restore of SQLite whose process is killed with -9", { timeout: 600_000 }, () => {
  it.each([
    ["delete", "open", "swap", 6],
    ["delete", "open", "revert", 6],
    ["delete", "open", "settle", 2],
    ["delete", "closed", "swap", 4],
    ["delete", "closed", "revert", 2],
    ["wal", "open", "swap", 4],
    ["wal", "closed", "swap", 4],
    ["wal", "closed", "revert", 2],
    ["wal", "closed", "stage", 2],
  ] as const)("in %s mode, %s elsewhere, at any point of %s is old or new", async (mode, elsewhere, step, least) => {
    const database = await subject(mode);
    const other = elsewhere === "open" ? await openElsewhere() : undefined;
    try {
      expect(await crashEverywhere(database, step)).toBeGreaterThanOrEqual(least);
      if (other !== undefined) expect(await other.rows()).toBe(400);
    } finally {
      await other?.end();
    }
  });
});
