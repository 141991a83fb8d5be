import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import {
  makeTestContext,
  type MemoryBackup,
  restorable,
  storeEntries,
  takeBackup,
  type TestContext,
} from "../../component/conformance/index.ts";
import { sourceId } from "./conformance/source-id.ts";
import type { PostgresqlConfig } from "./postgresql-config.ts";
import { PostgresqlSource } from "./postgresql-source.ts";
import { PostgresqlTarget } from "./postgresql-target.ts";
import { type PostgresqlServer, startPostgresql } from "./postgresql-test-server.ts";

let server: PostgresqlServer;
let database: string;
let config: PostgresqlConfig;
let count = 0;
beforeAll(async () => {
  server = await startPostgresql();
  server.sql(
    "postgres",
    "CREATE ROLE plain LOGIN PASSWORD 'secret'; CREATE ROLE app LOGIN CREATEDB PASSWORD 'secret';",
  );
});
afterAll(() => server.stop());
beforeEach(() => {
  count += 1;
  database = `failing_${count}`;
  config = { type: "postgresql", url: server.url(database) };
  server.sql("postgres", `CREATE DATABASE ${database};`);
  server.sql(database, "CREATE TABLE t AS SELECT g AS n, repeat('x', 1000) AS x FROM generate_series(1, 20000) g;");
});

const source = (changes: Partial<PostgresqlConfig> = {}): PostgresqlSource =>
  new PostgresqlSource(sourceId, { ...config, ...changes });
const target = (changes: Partial<PostgresqlConfig> = {}): PostgresqlTarget =>
  new PostgresqlTarget(sourceId, { ...config, ...changes });

function scratch(): string {
  return server.sql("postgres", `SELECT datname FROM pg_database WHERE datname LIKE '%\\_hf\\_%'`);
}

async function context(): Promise<TestContext> {
  const made = await makeTestContext();
  onTestFinished(() => made[Symbol.asyncDispose]());
  return made;
}

/** A program that stands in for one of PostgreSQL's, in a folder that `env PATH=...` as exec prefix puts first. */
async function standIn(name: string, script: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-tool-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return ["env", `PATH=${folder}:${process.env["PATH"]}`];
}

/** The backup with one file's text replaced. */
async function withFile(backup: MemoryBackup, name: string, text: string): Promise<MemoryBackup> {
  async function* bytes(): AsyncIterable<Uint8Array> {
    yield Buffer.from(text);
  }
  const content = await backup.contents.storeStream(bytes());
  const entries = backup.entries.map((entry) => (entry.path.toString() === name ? { ...entry, content } : entry));
  return { ...backup, entries };
}

describe("a PostgreSQL source", () => {
  const prepareError = async (changes: Partial<PostgresqlConfig>): Promise<unknown> => {
    const failing = source(changes);
    const error: unknown = await failing.prepare(await context()).then(
      () => "prepared",
      (thrown: unknown) => thrown,
    );
    await failing.dispose();
    return error;
  };

  it("tells a wrong password, a dead port, a missing database and missing programs apart", async () => {
    const url = (from: string, to: string): { url: string } => ({ url: config.url.replace(from, to) });
    expect(await prepareError(url("secret", "wr0ng-pass"))).toMatchObject({ code: "SERVICE_LOGIN_FAILED" });
    expect(String(await prepareError(url("secret", "wr0ng-pass")))).not.toContain("wr0ng-pass");
    expect(await prepareError(url(String(server.port), "1"))).toMatchObject({ code: "SERVICE_UNREACHABLE" });
    expect(await prepareError(url(database, "nonesuch"))).toMatchObject({ code: "SERVICE_DATABASE_MISSING" });
    expect(await prepareError({ exec: ["nonesuch"] })).toMatchObject({ code: "TOOL_MISSING" });
    expect(await prepareError({ exec: ["env", "PATH=/nonesuch"] })).toMatchObject({ code: "TOOL_MISSING" });
  });

  it("says that the user may not enter the database, read a table, or see all its rows, and what to grant", async () => {
    server.sql("postgres", `REVOKE CONNECT ON DATABASE ${database} FROM PUBLIC;`);
    const plain = { url: server.url(database, "plain") };
    expect(await prepareError(plain)).toMatchObject({
      code: "SERVICE_PERMISSION_MISSING",
      remedy: expect.stringContaining("GRANT CONNECT") as string,
    });
    server.sql("postgres", `GRANT CONNECT ON DATABASE ${database} TO plain;`);
    expect(await prepareError(plain)).toMatchObject({
      code: "SERVICE_PERMISSION_MISSING",
      message: expect.stringContaining("public.t") as string,
      remedy: expect.stringContaining("GRANT pg_read_all_data") as string,
    });
    server.sql(database, "GRANT SELECT ON t TO plain; ALTER TABLE t ENABLE ROW LEVEL SECURITY;");
    expect(await prepareError(plain)).toMatchObject({
      code: "SERVICE_PERMISSION_MISSING",
      remedy: expect.stringContaining("BYPASSRLS") as string,
    });
  });

  it("refuses a pg_dump that is older than the server", async () => {
    const exec = await standIn("pg_dump", "echo 'pg_dump (PostgreSQL) 11.22'");
    expect(await prepareError({ exec })).toMatchObject({
      code: "TOOL_MISSING",
      facts: { toolMajor: 11, serverMajor: 15 },
    });
  });

  it("freezes beside a table that a migration has locked, and reads it when the migration is done", async () => {
    const beside = source();
    const besideContext = await context();
    await beside.prepare(besideContext);
    const migration = server.run(
      database,
      "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(0.5); COMMIT;",
    );
    await expect
      .poll(() =>
        server.sql(
          "postgres",
          "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND locktype = 'relation'",
        ),
      )
      .toBe("1");
    expect((await beside.freeze(300)).durationMs).toBeLessThan(300);
    await storeEntries(beside.read(besideContext.signal), besideContext.contents);
    await migration.done;
    expect(beside.describe().counts["table:public.t"]).toBe(20_000);
    await beside.dispose();
  });

  it("makes no TRUNCATE wait, and fails rather than store a table that was emptied or dropped after the freeze", async () => {
    for (const change of ["TRUNCATE t", "ALTER TABLE t ALTER n TYPE bigint", "ALTER TABLE t DROP x", "DROP TABLE t"]) {
      const frozen = source();
      const frozenContext = await context();
      await frozen.prepare(frozenContext);
      await frozen.freeze(5000);
      server.sql(database, `SET lock_timeout = '2s'; ${change};`);
      const reading = storeEntries(frozen.read(frozenContext.signal), frozenContext.contents);
      await expect(reading).rejects.toMatchObject({ code: "FREEZE_FAILED", facts: { table: "public.t" } });
      await frozen.dispose();
    }
  });

  it("holds no lock on a table that it has read", async () => {
    server.sql(database, "CREATE TABLE u AS SELECT 1 AS n;");
    const frozen = source();
    const frozenContext = await context();
    await frozen.prepare(frozenContext);
    await frozen.freeze(5000);
    for await (const entry of frozen.read(frozenContext.signal)) {
      if (entry.content?.kind !== "stream") continue;
      for await (const chunk of entry.content.open(frozenContext.signal)) expect(chunk.length).toBeGreaterThan(0);
      server.sql(
        database,
        `SET lock_timeout = '2s'; ${entry.path.toString() === "4-tables/public.t.sql" ? "TRUNCATE t" : ""};`,
      );
    }
    expect(frozen.describe().counts["table:public.t"]).toBe(20_000);
    expect(frozen.describe().counts["table:public.u"]).toBe(1);
    await frozen.dispose();
  });

  it("fails, rather than ending early, when its session is killed amidst a table or between two", async () => {
    for (const moment of ["3-pre-data.sql", "4-tables/public.t.sql"]) {
      const killed = source();
      const killedContext = await context();
      await killed.prepare(killedContext);
      await killed.freeze(5000);
      const reading = (async (): Promise<void> => {
        for await (const entry of killed.read(killedContext.signal)) {
          if (entry.content?.kind !== "stream") continue;
          for await (const chunk of entry.content.open(killedContext.signal)) {
            if (chunk.length === 0 || entry.path.toString() !== moment) continue;
            server.sql(
              "postgres",
              `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE application_name = 'holdfast-${killedContext.operationId}' AND state <> 'active' OR query LIKE 'COPY%'`,
            );
          }
        }
      })();
      await expect(reading).rejects.toMatchObject({ code: "SERVICE_UNREACHABLE" });
      await killed.dispose();
    }
  });

  it("works under an exec prefix, and shows the password in no command line", async () => {
    const exec = await standIn(
      "psql",
      `tr '\\0' ' ' < /proc/$$/cmdline >> "${tmpdir()}/holdfast-${database}.txt"; exec /usr/bin/psql "$@"`,
    );
    onTestFinished(() => rm(`${tmpdir()}/holdfast-${database}.txt`));
    const backup = await takeBackup(source({ exec }));
    server.sql(database, "DELETE FROM t;");
    await using restoring = await makeTestContext({ contents: backup.contents });
    await target({ exec }).stage(restoring, restorable(backup));
    await target({ exec }).swap(restoring, 10_000);
    await target({ exec }).settle(restoring);
    expect(server.sql(database, "SELECT count(*) FROM t")).toBe("20000");
    const seen = await readFile(`${tmpdir()}/holdfast-${database}.txt`, "utf8");
    expect(seen).toContain("--no-password");
    expect(seen).not.toContain("secret");
  });
});

describe("a PostgreSQL target", () => {
  it("loads nothing and leaves nothing where the user may not create databases or does not own this one", async () => {
    const backup = await takeBackup(source());
    for (const [user, grant] of [
      ["plain", "CREATEDB"],
      ["app", "OWNER TO"],
    ] as const) {
      const staging = target({ url: server.url(database, user) }).stage(await context(), restorable(backup));
      await expect(staging).rejects.toMatchObject({
        code: "SERVICE_PERMISSION_MISSING",
        remedy: expect.stringContaining(grant) as string,
      });
      expect(scratch()).toBe("");
    }
  });

  it("says which extension is missing, and drops what it had staged", async () => {
    const backup = await withFile(await takeBackup(source()), "3-pre-data.sql", "CREATE EXTENSION nonesuch;\n");
    await using restoring = await makeTestContext({ contents: backup.contents });
    await expect(target().stage(restoring, restorable(backup))).rejects.toMatchObject({
      code: "SERVICE_STAGE_FAILED",
      message: expect.stringContaining("nonesuch") as string,
      remedy: expect.stringContaining("extension") as string,
    });
    expect(scratch()).toBe("");
  });

  it("reports a full disk as such", async () => {
    const full = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;\n";
    const backup = await withFile(await takeBackup(source()), "7-post-data.sql", full);
    await using restoring = await makeTestContext({ contents: backup.contents });
    await expect(target().stage(restoring, restorable(backup))).rejects.toMatchObject({ code: "TARGET_FULL" });
    expect(scratch()).toBe("");
  });

  it("runs no program that a backup from a hostile server names", async () => {
    const trace = `${tmpdir()}/holdfast-hostile-${database}`;
    for (const name of ["1-roles.sql", "2-database.sql", "3-pre-data.sql", "4-tables/public.t.sql"]) {
      const backup = await withFile(await takeBackup(source()), name, `\\! touch ${trace}\n`);
      await using restoring = await makeTestContext({ contents: backup.contents });
      await expect(target().stage(restoring, restorable(backup))).rejects.toMatchObject({
        code: "SERVICE_STAGE_FAILED",
      });
      expect(existsSync(trace)).toBe(false);
      expect(scratch()).toBe("");
    }
  });

  it("refuses a backup that lacks the database's definition, and one of another kind", async () => {
    const backup = await takeBackup(source());
    const entries = backup.entries.filter((entry) => entry.path.toString() !== "2-database.sql");
    await using restoring = await makeTestContext({ contents: backup.contents });
    await expect(target().stage(restoring, restorable({ ...backup, entries }))).rejects.toMatchObject({
      code: "SERVICE_STAGE_FAILED",
    });
    const description = { ...backup.description, kind: "mariadb" };
    await expect(target().stage(restoring, restorable({ ...backup, description }))).rejects.toMatchObject({
      code: "SERVICE_UNSUPPORTED",
    });
    expect(scratch()).toBe("");
  });

  it("does not swap what was not staged", async () => {
    await expect(target().swap(await context(), 5000)).rejects.toMatchObject({ code: "SERVICE_SWAP_FAILED" });
  });
});
