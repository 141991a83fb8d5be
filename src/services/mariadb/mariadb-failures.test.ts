import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SourceId } from "../../base/index.ts";
import { makeTestContext, takeBackup } from "../../component/conformance/index.ts";
import { MariadbSource } from "./mariadb-source.ts";
import { startMariadb, type TestMariadb } from "./mariadb-test-server.ts";

let server: TestMariadb;
beforeAll(async () => {
  server = await startMariadb();
  await server.sql(
    "CREATE DATABASE shop",
    "USE shop",
    "CREATE TABLE t (id INT PRIMARY KEY)",
    "INSERT INTO t VALUES (1), (2)",
    "CREATE DATABASE mixed",
    "CREATE TABLE mixed.m (id INT PRIMARY KEY) ENGINE=MyISAM",
    "CREATE USER poor IDENTIFIED BY 'x'",
    "GRANT SELECT ON `shop`.* TO poor",
  );
});
afterAll(() => server.stop());

const at = (url: string, exec: string[] = []): MariadbSource =>
  new MariadbSource("service:db" as SourceId, { type: "mariadb", url, exec });

describe("a MariaDB source that cannot work", () => {
  it.each([
    ["a wrong password", () => at(server.url("shop", "root", "wrong-pw")), "SERVICE_LOGIN_FAILED"],
    ["a missing database", () => at(server.url("nowhere")), "SERVICE_DATABASE_MISSING"],
    ["a port where nothing listens", () => at("mysql://root:wrong-pw@127.0.0.1:1/shop"), "SERVICE_UNREACHABLE"],
    ["a missing client program", () => at(server.url("shop"), ["env", "-i", "PATH=/nowhere"]), "TOOL_MISSING"],
    ["missing rights", () => at(server.url("shop", "poor", "x")), "SERVICE_PERMISSION_MISSING"],
  ])("says so of %s, without the password", async (_name, source, code) => {
    const error: unknown = await takeBackup(source()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code });
    expect(JSON.stringify(error)).not.toContain("wrong-pw");
  });

  it("names the GRANT that is missing", async () => {
    await expect(takeBackup(at(server.url("shop", "poor", "x")))).rejects.toMatchObject({
      remedy: "Grant it:  GRANT SHOW VIEW, TRIGGER, EVENT ON `shop`.* TO 'poor'@'%';",
    });
  });

  it("gives up in time where a long statement holds a table, and leaves nothing locked", async () => {
    const busy = await server.session();
    await busy.query("LOCK TABLES mixed.m WRITE");
    const source = at(server.url("mixed"));
    await using context = await makeTestContext();
    try {
      await source.prepare(context);
      const startedAt = performance.now();
      await expect(source.freeze(1000)).rejects.toMatchObject({ code: "FREEZE_FAILED" });
      expect(performance.now() - startedAt).toBeLessThan(1500);
      await busy.query("INSERT INTO mixed.m VALUES (1)");
    } finally {
      await source.dispose();
      await busy.close();
    }
    await server.sql("SET SESSION lock_wait_timeout = 3", "INSERT INTO mixed.m VALUES (2)");
  });

  it.each(["ALTER TABLE shop.t ADD COLUMN late INT", "TRUNCATE TABLE shop.t", "DROP TABLE shop.t"])(
    "fails clearly after %s between freeze and read",
    async (statement) => {
      const backup = takeBackup(at(server.url("shop")), {
        afterFreeze: async () => void (await server.sql(statement)),
      });
      await expect(backup).rejects.toMatchObject({ code: "FREEZE_FAILED" });
    },
  );
});
