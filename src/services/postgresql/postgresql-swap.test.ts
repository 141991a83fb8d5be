import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { newOperationId } from "../../base/index.ts";
import { makeTestContext, type MemoryBackup, restorable, takeBackup } from "../../component/conformance/index.ts";
import { sourceId } from "./conformance/source-id.ts";
import type { PostgresqlConfig } from "./postgresql-config.ts";
import { scratchNames } from "./postgresql-quoting.ts";
import { PostgresqlSource } from "./postgresql-source.ts";
import { PostgresqlTarget } from "./postgresql-target.ts";
import { type PostgresqlServer, startPostgresql } from "./postgresql-test-server.ts";

let server: PostgresqlServer;
let database: string;
let config: PostgresqlConfig;
let backup: MemoryBackup;
let count = 0;
beforeAll(async () => {
  server = await startPostgresql({ settings: ["max_prepared_transactions=5"] });
  server.sql("postgres", "CREATE ROLE app LOGIN CREATEDB PASSWORD 'secret';");
});
afterAll(() => server.stop());
beforeEach(async () => {
  count += 1;
  database = `swapped_${count}`;
  config = { type: "postgresql", url: server.url(database) };
  server.sql("postgres", `CREATE DATABASE ${database} OWNER app;`);
  server.sql(database, "SET ROLE app; CREATE TABLE t (n int); INSERT INTO t VALUES (1);");
  backup = await takeBackup(new PostgresqlSource(sourceId, config));
  server.sql(database, "UPDATE t SET n = 2;");
});

const target = (user = "postgres"): PostgresqlTarget =>
  new PostgresqlTarget(sourceId, { ...config, url: server.url(database, user) });
const state = (): string => server.sql(database, "SELECT n FROM t");
const databases = (): string[] =>
  server
    .sql(
      "postgres",
      `SELECT datname || ' ' || datallowconn FROM pg_database
  WHERE datname LIKE '${database}%' ORDER BY 1`,
    )
    .split("\n")
    .filter(Boolean);

describe("PostgreSQL's swap", () => {
  it("takes well under a second beside clients that reconnect at once, and they come back to the backup's data", async () => {
    await using context = await makeTestContext({ contents: backup.contents });
    await target().stage(context, restorable(backup));
    const stopping = new AbortController();
    const answers: string[] = [];
    // A pool of four: each member connects again as soon as its session ends.
    const pool = Array.from({ length: 4 }, async () => {
      while (!stopping.signal.aborted) {
        const member = server.run(database, "SELECT n FROM t; SELECT pg_sleep(60);");
        const kill = (): void => void member.kill();
        stopping.signal.addEventListener("abort", kill);
        // It is ended by the swap, or meets the moment of it: what it had read before is what counts.
        await Promise.allSettled([member.done]);
        stopping.signal.removeEventListener("abort", kill);
        answers.push(member.output().trim());
      }
    });
    await expect
      .poll(() =>
        server.sql(
          "postgres",
          `SELECT count(*) FROM pg_stat_activity WHERE datname = '${database}' AND wait_event = 'PgSleep'`,
        ),
      )
      .toBe("4");
    const report = await target().swap(context, 10_000);
    await expect
      .poll(() =>
        server.sql(
          "postgres",
          `SELECT count(*) FROM pg_stat_activity WHERE datname = '${database}' AND wait_event = 'PgSleep'`,
        ),
      )
      .toBe("4");
    await target().settle(context);
    stopping.abort();
    await Promise.all(pool);
    expect(report.durationMs).toBeLessThan(1000);
    expect(state()).toBe("1");
    expect(databases()).toEqual([`${database} true`]);
    expect(answers.filter((answer) => answer === "2").length).toBeGreaterThanOrEqual(1);
    expect(answers.filter((answer) => answer === "1").length).toBeGreaterThanOrEqual(1);
  });

  it("makes the database where there was none; revert takes it away again, also in a new process", async () => {
    server.sql("postgres", `DROP DATABASE ${database};`);
    await using context = await makeTestContext({ contents: backup.contents });
    for (const reached of ["stage", "swap"]) {
      await target().stage(context, restorable(backup));
      if (reached === "swap") await target().swap(context, 10_000);
      await target().revert(context);
      await target().revert(context);
      expect(databases()).toEqual([]);
    }
    await target().stage(context, restorable(backup));
    await target().swap(context, 10_000);
    await target().settle(context);
    await target().settle(context);
    expect(databases()).toEqual([`${database} true`]);
    expect(state()).toBe("1");
  });

  it("leaves alone a database that somebody makes where there was none while a restore is under way or was killed", async () => {
    server.sql("postgres", `DROP DATABASE ${database};`);
    const make = (): void => {
      server.sql("postgres", `CREATE DATABASE ${database};`);
      server.sql(database, "CREATE TABLE t (n int); INSERT INTO t VALUES (7);");
    };
    await using context = await makeTestContext({ contents: backup.contents });
    const names = scratchNames(database, context.operationId);
    for (const undo of ["swapBack", "revert"] as const) {
      for (const reached of ["killed before the staged database", "stage", "swap", "swap and swapBack"]) {
        await target().stage(context, restorable(backup));
        // What a process that is killed between the two leaves.
        if (reached.startsWith("killed")) server.sql("postgres", `DROP DATABASE "${names.staged}";`);
        if (reached.startsWith("swap and")) {
          await target().swap(context, 10_000);
          await target().swapBack(context);
        }
        make();
        if (reached === "swap") await target().swap(context, 10_000);
        await target()[undo](context);
        expect(state(), `${undo} after ${reached}`).toBe("7");
        await target().revert(context);
        expect(state(), `revert after ${reached}`).toBe("7");
        expect(databases()).toEqual([`${database} true`]);
        server.sql("postgres", `DROP DATABASE ${database};`);
      }
    }
  });

  it("can be undone when somebody drops the live database while a restore is under way", async () => {
    await using context = await makeTestContext({ contents: backup.contents });
    await target().stage(context, restorable(backup));
    server.sql("postgres", `DROP DATABASE ${database};`);
    await target().swap(context, 10_000);
    await target().swap(context, 10_000);
    expect(state()).toBe("1");
    await target().revert(context);
    await target().revert(context);
    expect(databases()).toEqual([]);
  });

  it("is old or new, open to clients, when its session dies at any moment, and old again after revert", async () => {
    await using context = await makeTestContext({ contents: backup.contents });
    const seen = new Set<string>();
    for (const lifeMs of [0, 5, 10, 20, 30, 40, 60, 200]) {
      await target().stage(context, restorable(backup));
      const killing = server.run(
        "postgres",
        `SELECT pg_sleep(${lifeMs / 1000}); SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'holdfast-${context.operationId}';`,
      );
      const swapping = target()
        .swap(context, 5000)
        .catch((error: unknown) => error);
      await killing.done;
      await swapping;
      seen.add(state());
      expect(databases().every((line) => line.endsWith(" true"))).toBe(true);
      await target().revert(context);
      expect(state()).toBe("2");
      expect(databases()).toEqual([`${database} true`]);
    }
    expect([...seen].every((value) => value === "1" || value === "2")).toBe(true);
  });

  it("is undone by a new process when its own was killed with -9 at any moment", async () => {
    const program = fileURLToPath(new URL("conformance/restore-until-killed.ts", import.meta.url));
    // What a killed process leaves in its temporary folder goes with the test.
    const temporary = await mkdtemp(join(tmpdir(), "holdfast-killed-"));
    onTestFinished(() => rm(temporary, { recursive: true }));
    for (const [step, delayMs] of [
      ["prepare", 60],
      ["read", 5],
      ["stage", 30],
      ["stage", 150],
      ["stage", 300],
      ["swap", 0],
      ["swap", 70],
      ["swapped", 0],
    ] as const) {
      server.sql(database, "UPDATE t SET n = 2;");
      const operationId = newOperationId();
      const child = spawn(process.execPath, [program, server.url(database), operationId], {
        stdio: ["pipe", "pipe", "inherit"],
        env: { ...process.env, TMPDIR: temporary },
      });
      const exited = once(child, "exit");
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
      await expect.poll(() => said.split("\n").includes(step), { interval: 2, timeout: 30_000 }).toBe(true);
      await delay(delayMs);
      child.kill("SIGKILL");
      await exited;
      // The live database is always one of the two, and clients may come in.
      expect(["2", "9"]).toContain(state());
      await using context = await makeTestContext({ operationId });
      await new PostgresqlSource(sourceId, config).recover(context);
      await target().revert(context);
      // The process may have gone further than the step that we waited for.
      const wanted = said.includes("stage") ? ["9"] : said.includes("update") ? ["2", "9"] : ["2"];
      expect(wanted, `killed ${delayMs} ms after ${step}`).toContain(state());
      expect(databases()).toEqual([`${database} true`]);
      const sessions = "SELECT query FROM pg_stat_activity WHERE application_name LIKE 'holdfast%'";
      await expect.poll(() => server.sql("postgres", sessions)).toBe("");
    }
  });

  it("fails in time when a prepared transaction pins the database, and revert leaves it as it was", async () => {
    server.sql(database, "BEGIN; INSERT INTO t VALUES (3); PREPARE TRANSACTION 'pin';");
    await using context = await makeTestContext({ contents: backup.contents });
    await target().stage(context, restorable(backup));
    const startedAt = performance.now();
    await expect(target().swap(context, 1000)).rejects.toMatchObject({ code: "SERVICE_SWAP_FAILED" });
    expect(performance.now() - startedAt).toBeLessThan(2500);
    server.sql(database, "ROLLBACK PREPARED 'pin';");
    await target().revert(context);
    expect(state()).toBe("2");
    expect(databases()).toEqual([`${database} true`]);
  });

  it("says what to grant when the user may not end other users' sessions, and revert leaves all as it was", async () => {
    await using context = await makeTestContext({ contents: backup.contents });
    await target("app").stage(context, restorable(backup));
    const superuser = server.run(database, "SELECT pg_sleep(60);");
    await expect
      .poll(() => server.sql("postgres", `SELECT count(*) FROM pg_stat_activity WHERE datname = '${database}'`))
      .toBe("1");
    await expect(target("app").swap(context, 1000)).rejects.toMatchObject({
      code: "SERVICE_SWAP_FAILED",
      remedy: expect.stringContaining("pg_signal_backend") as string,
    });
    await target("app").revert(context);
    await superuser.kill();
    expect(state()).toBe("2");
    expect(databases()).toEqual([`${database} true`]);
  });

  it("reverts while a psql of the dead process still fills the staged database", async () => {
    await using context = await makeTestContext({ contents: backup.contents });
    const names = scratchNames(database, context.operationId);
    server.sql("postgres", `CREATE DATABASE "${names.staged}";`);
    const orphan = server.run(
      names.staged,
      `SET application_name = 'holdfast-${context.operationId}'; SELECT pg_sleep(60);`,
    );
    await expect
      .poll(() =>
        server.sql(
          "postgres",
          `SELECT count(*) FROM pg_stat_activity WHERE datname = '${names.staged}' AND wait_event = 'PgSleep'`,
        ),
      )
      .toBe("1");
    await target().revert(context);
    await expect(orphan.done).rejects.toMatchObject({ code: "COMMAND_FAILED" });
    expect(databases()).toEqual([`${database} true`]);
  });

  it("keeps a long database name apart from its scratch names", () => {
    const long = "ü".repeat(31);
    const names = Object.values({ ...scratchNames(long, "abcdefghijkl" as never) });
    expect(names.every((name) => Buffer.byteLength(name) <= 63)).toBe(true);
    expect(new Set(names).size).toBe(5);
  });
});
