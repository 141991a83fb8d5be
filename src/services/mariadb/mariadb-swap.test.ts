import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { SourceId } from "../../base/index.ts";
import {
  makeTestContext,
  type MemoryBackup,
  restorable,
  takeBackup,
  type TestContext,
} from "../../component/conformance/index.ts";
import type { MariadbSession } from "./mariadb-session.ts";
import { MariadbSource } from "./mariadb-source.ts";
import { MariadbTarget } from "./mariadb-target.ts";
import { startMariadb, type TestMariadb } from "./mariadb-test-server.ts";

const id = "service:db" as SourceId;
let server: TestMariadb;
beforeAll(async () => {
  server = await startMariadb();
}, 30_000);
afterAll(() => server.stop());

const source = (database: string): MariadbSource =>
  new MariadbSource(id, { type: "mariadb", url: server.url(database) });
const target = (database: string): MariadbTarget =>
  new MariadbTarget(id, { type: "mariadb", url: server.url(database) });

describe("a swap of MariaDB tables that another client uses", { timeout: 60_000 }, () => {
  let backup: MemoryBackup;
  let context: TestContext;
  let busy: MariadbSession;
  let swapping: MariadbTarget;
  beforeEach(async () => {
    await server.sql(
      "CREATE OR REPLACE DATABASE shop",
      "USE shop",
      "CREATE TABLE a (id INT PRIMARY KEY)",
      "CREATE TABLE b (id INT PRIMARY KEY)",
      "CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM",
      "CREATE TRIGGER on_a AFTER INSERT ON a FOR EACH ROW INSERT INTO b VALUES (NEW.id)",
    );
    backup = await takeBackup(source("shop"));
    await server.sql("INSERT INTO shop.a VALUES (7)");
    context = await makeTestContext({ contents: backup.contents });
    swapping = target("shop");
    await swapping.stage(context, restorable(backup));
    busy = await server.session();
    await busy.query("USE shop");
  });
  afterEach(async () => {
    await busy.close();
    await swapping.revert(context);
    await context[Symbol.asyncDispose]();
  });

  it.each([
    ["an open transaction", ["BEGIN", "SELECT * FROM b"], "transaction open"],
    ["a table lock", ["LOCK TABLES m READ"], "perhaps with tables locked"],
  ])(
    "gives up in time because of %s, names the connection, and the triggers were there all along",
    async (_what, sql, doing) => {
      await busy.queryAll(sql);
      const startedAt = performance.now();
      const swap = swapping.swap(context, 2000).catch((error: unknown) => error);
      await expect
        .poll(() => server.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for%'"))
        .toEqual([["1"]]);
      expect(
        await server.sql("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop'"),
      ).toEqual([["on_a"]]);
      expect(await swap).toMatchObject({
        code: "SERVICE_SWAP_FAILED",
        message: expect.stringMatching(
          new RegExp(`connection ${busy.id} of root@.* ${doing}|connection ${busy.id} .*${doing}`),
        ) as string,
        facts: { blockingConnection: busy.id },
      });
      expect(performance.now() - startedAt).toBeLessThan(2000);
      // Before anything is undone: nothing has changed, and the next client waits for nobody.
      expect(await server.sql("SELECT * FROM shop.a")).toEqual([["7"]]);
      await busy.close();
      await server.sql("SET SESSION lock_wait_timeout = 5", "INSERT INTO shop.a VALUES (8)");
      expect(await server.sql("SELECT * FROM shop.b ORDER BY id")).toEqual([["7"], ["8"]]);
    },
  );

  it("works when the sessions that stage kept are gone", async () => {
    await server.sql(
      ...(
        await server.sql(
          "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND COMMAND = 'Sleep'",
        )
      ).map(([connection]) => `KILL ${connection}`),
    );
    await swapping.swap(context, 5000);
    await swapping.settle(context);
    expect(await server.sql("SELECT COUNT(*) FROM shop.a")).toEqual([["0"]]);
    await server.sql("CREATE OR REPLACE DATABASE shop");
    await context[Symbol.asyncDispose]();
    context = await makeTestContext();
  });

  it("leaves no session behind after settle", async () => {
    await swapping.swap(context, 5000);
    await swapping.settle(context);
    await busy.close();
    await expect
      .poll(() =>
        server.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'root' AND ID <> CONNECTION_ID()"),
      )
      .toEqual([["0"]]);
    await context[Symbol.asyncDispose]();
    context = await makeTestContext();
  });
});

describe("a freeze of MariaDB beside a long statement", { timeout: 60_000 }, () => {
  it.each([
    "UPDATE busy.i SET n = n + SLEEP(1)",
    "SELECT SLEEP(1) FROM busy.i",
    "INSERT INTO busy.i SELECT id + 100, SLEEP(1) FROM busy.i",
  ])("does not wait for %s on an InnoDB table", async (statement) => {
    await server.sql(
      "CREATE OR REPLACE DATABASE busy",
      "USE busy",
      "CREATE TABLE busy.i (id INT PRIMARY KEY, n INT)",
      "INSERT INTO busy.i SELECT seq, 1 FROM seq_1_to_20",
    );
    const session = await server.session();
    const running = session.query(statement);
    running.catch(() => undefined);
    const frozen = source("busy");
    await using context = await makeTestContext();
    try {
      await frozen.prepare(context);
      await expect
        .poll(() => server.sql("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User sleep'"))
        .toEqual([["1"]]);
      // The statement goes on for 20 s.
      expect((await frozen.freeze(5000)).durationMs).toBeLessThan(500);
    } finally {
      await frozen.dispose();
      await server.sql(`KILL ${session.id}`);
      await session.close();
    }
  });

  it("gives up in time where the table is of MyISAM, and the statement goes on", async () => {
    await server.sql(
      "CREATE OR REPLACE DATABASE busy",
      "USE busy",
      "CREATE TABLE busy.m (id INT PRIMARY KEY, n INT) ENGINE=MyISAM",
      "INSERT INTO busy.m SELECT seq, 1 FROM seq_1_to_4",
    );
    const session = await server.session();
    const running = session.query("UPDATE busy.m SET n = n + 1 + SLEEP(1)");
    const frozen = source("busy");
    await using context = await makeTestContext();
    try {
      await frozen.prepare(context);
      const startedAt = performance.now();
      await expect(frozen.freeze(1000)).rejects.toMatchObject({ code: "FREEZE_FAILED" });
      expect(performance.now() - startedAt).toBeLessThan(1500);
    } finally {
      await frozen.dispose();
    }
    await running;
    await session.close();
    expect(await server.sql("SELECT DISTINCT n FROM busy.m")).toEqual([["2"]]);
  });
});

describe("a MariaDB restore to another place", { timeout: 60_000 }, () => {
  async function restore(backup: MemoryBackup, database: string): Promise<TestContext> {
    const context = await makeTestContext({ contents: backup.contents });
    const restoring = target(database);
    await restoring.stage(context, restorable(backup));
    await restoring.swap(context, 10_000);
    await restoring.settle(context);
    await context[Symbol.asyncDispose]();
    return context;
  }

  it("takes columns' numbers from the sequences there, whole or a table alone", async () => {
    await server.sql(
      "CREATE DATABASE numbered",
      "USE numbered",
      "CREATE SEQUENCE s START WITH 10 NOCACHE",
      "CREATE TABLE t (id INT PRIMARY KEY DEFAULT NEXTVAL(s), a INT COMMENT 'nextval', b INT DEFAULT (NEXTVAL(s) + 1000))",
      "INSERT INTO t (a) VALUES (1)",
    );
    const backup = await takeBackup(source("numbered"));
    await restore(backup, "numbered_elsewhere");
    await server.sql("DROP DATABASE numbered", "INSERT INTO numbered_elsewhere.t (a) VALUES (2)");
    expect(await server.sql("SELECT * FROM numbered_elsewhere.t ORDER BY id")).toEqual([
      ["10", "1", "1011"],
      ["12", "2", "1013"],
    ]);
    // To its own name, where neither database nor sequence is.
    await restore(backup, "numbered");
    await server.sql("INSERT INTO numbered.t (a) VALUES (2)", "SELECT NEXTVAL(numbered.s)");
    const entries = backup.entries.filter(({ path }) => ["", "tables", "tables/t.sql"].includes(path.toString()));
    await restore({ ...backup, entries }, "numbered");
    await server.sql("INSERT INTO numbered.t (a) VALUES (3)");
    expect(await server.sql("SELECT * FROM numbered.t ORDER BY id")).toEqual([
      ["10", "1", "1011"],
      ["15", "3", "1016"],
    ]);
    expect(await server.sql("SHOW CREATE TABLE numbered.t")).not.toContain("_hf_");
  });

  it("warns of definers that the server does not know, once each", async () => {
    await server.sql(
      "CREATE USER gone IDENTIFIED BY 'x'",
      "CREATE DATABASE defined",
      "USE defined",
      "CREATE TABLE t (id INT)",
      "CREATE DEFINER=gone@'%' VIEW v AS SELECT * FROM t",
      "CREATE DEFINER=gone@'%' EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM t",
      "CREATE VIEW known AS SELECT * FROM t",
    );
    const backup = await takeBackup(source("defined"));
    expect((await restore(backup, "defined")).warnings).toEqual([]);
    await server.sql("DROP USER gone");
    const { warnings } = await restore(backup, "defined");
    expect(warnings).toMatchObject([{ kind: "definer-missing", facts: { definer: "gone@%", objects: 2 } }]);
  });
});
