import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newOperationId, type SourceId } from "../../base/index.ts";
import { makeTestContext, type MemoryBackup, restorable, takeBackup } from "../../component/conformance/index.ts";
import type { SwapReport } from "../../component/index.ts";
import { MariadbSource } from "./mariadb-source.ts";
import { MariadbTarget } from "./mariadb-target.ts";
import { startMariadb, type TestMariadb } from "./mariadb-test-server.ts";

let server: TestMariadb;
beforeAll(async () => {
  server = await startMariadb(["--event-scheduler=OFF", "--character-set-server=utf8mb4"]);
});
afterAll(() => server.stop());

const source = (database: string, exec: string[] = []): MariadbSource =>
  new MariadbSource("service:db" as SourceId, { type: "mariadb", url: server.url(database), exec });

async function restore(backup: MemoryBackup, database: string, exec: string[] = []): Promise<SwapReport> {
  await using context = await makeTestContext({ contents: backup.contents, operationId: newOperationId() });
  const target = new MariadbTarget("service:db" as SourceId, { type: "mariadb", url: server.url(database), exec });
  await target.stage(context, restorable(backup));
  const report = await target.swap(context, 10_000);
  await target.settle(context);
  return report;
}

async function checksum(table: string): Promise<string | undefined> {
  return (await server.sql(`CHECKSUM TABLE ${table} EXTENDED`))[0]?.[1];
}

async function text(backup: MemoryBackup, path: string): Promise<string> {
  const entry = backup.entries.find((entry) => entry.path.toString() === path);
  if (entry?.content === undefined) throw new Error(`No entry ${path}`);
  const chunks: Uint8Array[] = [];
  for await (const chunk of backup.contents.read(entry.content)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe("the data of a MariaDB database", () => {
  it("comes back bit by bit, of every type, into a database that did not exist", async () => {
    await server.sql(
      "CREATE DATABASE kinds CHARACTER SET latin1 COLLATE latin1_german1_ci",
      "USE kinds",
      "SET sql_mode = 'ALLOW_INVALID_DATES'",
      `CREATE TABLE numbers (id BIGINT UNSIGNED PRIMARY KEY, f FLOAT, d DOUBLE, fd FLOAT(7,2), n DECIMAL(65,30), t TINYINT(1) ZEROFILL, b BIT(1), b10 BIT(10), b64 BIT(64), y YEAR)`,
      `INSERT INTO numbers VALUES (0, 1.1234567, 1.7976931348623157e308, 12345.67, -99999999999999999999999999999999999.123456789012345678901234567890, 5, b'1', b'1111100000', 18446744073709551615, 1901),
         (18446744073709551615, 3.4028235e38, 2.2250738585072014e-308, -0.01, 0.1, NULL, NULL, NULL, NULL, NULL), (3, 1e-38, 0.1e0 + 0.2e0, 1, 1, 1, b'0', 0, 9223372036854775808, 0)`,
      `CREATE TABLE times (id INT PRIMARY KEY, d DATE, dt DATETIME(6), t TIME(3), ts TIMESTAMP(6) NULL)`,
      `INSERT INTO times VALUES (1, '0000-00-00', '0000-00-00', '-838:59:59', NULL), (2, '2024-02-30', '9999-12-31 23:59:59.999999', '23:59:59.999', '2024-10-27 01:30:00.123456'), (3, '2024-00-10', '2024-01-01', '00:00:00', '1970-01-02 00:00:01')`,
      `CREATE TABLE texts (id INT PRIMARY KEY, a TEXT CHARACTER SET utf8mb4, l VARCHAR(100) CHARACTER SET latin1, c VARCHAR(20) CHARACTER SET cp1251, s VARCHAR(20) CHARACTER SET sjis, u VARCHAR(20) CHARACTER SET utf16, e ENUM('a','ö','it''s'), st SET('x','y'), j JSON, ch CHAR(10), q LONGTEXT CHARACTER SET utf8mb3)`,
      `INSERT INTO texts VALUES (1, 'tab\\t, line\\n, return\\r\\n, nul\\0, back\\\\slash, \\'quote\\', "double", \\Z, %_ \\b', 'ÿ€äö', 'Привет', 'テスト', 'smile 😀', 'ö', 'x,y', '{"a": "it''s \\\\"x\\\\""}', 'pad  ', 'NULL'),
         (2, '', '', '', '', '', '', '', 'null', '', ''), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (4, '😀\\\\', '\\\\', '\\\\', '表\\\\', '\\\\''', 'it''s', 'y', '[]', '''', '-- comment;\\n$$ DELIMITER x\\n\\\\q')`,
      `CREATE TABLE bytes (id INT AUTO_INCREMENT PRIMARY KEY, b BINARY(4), v VARBINARY(600), m MEDIUMBLOB, l LONGBLOB, g GEOMETRY, p POINT NOT NULL DEFAULT POINT(0, 0), i INET6, uu UUID)`,
      `INSERT INTO bytes (b, v, m, g, i, uu) SELECT UNHEX('00FF'), UNHEX(GROUP_CONCAT(LPAD(HEX(seq), 2, '0') ORDER BY seq SEPARATOR '')), '', ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326), 'fe80::1', '123e4567-e89b-12d3-a456-426655440000' FROM seq_0_to_255`,
      "INSERT INTO bytes (b) VALUES (NULL)",
      "CREATE TABLE computed (a INT, v INT AS (a * 2) VIRTUAL, s VARCHAR(20) AS (CONCAT('n', a)) STORED, i INT INVISIBLE DEFAULT 7, KEY (v))",
      "INSERT INTO computed (a, i) VALUES (1, 2), (NULL, 3), (3, 4)",
      "CREATE TABLE `od``d /name.%é` (`col``umn 'x'` INT PRIMARY KEY, `select` TEXT COMMENT 'it''s; -- \\\\ \\n new') COMMENT='AUTO_INCREMENT=5 ) ENGINE=x'",
      "INSERT INTO `od``d /name.%é` VALUES (1, 'x')",
      "CREATE TABLE parts (id INT PRIMARY KEY, x INT CHECK (x > 0)) PARTITION BY HASH (id) PARTITIONS 3",
      "SET check_constraint_checks = 0",
      "INSERT INTO parts VALUES (1, 1), (2, -5), (3, 3)",
      "CREATE TABLE keyless (a INT, b TEXT)",
      "INSERT INTO keyless VALUES (2, 'b'), (1, 'a'), (2, 'b')",
      "CREATE TABLE empty (id INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 4711",
    );
    const backup = await takeBackup(source("kinds"));
    const report = await restore(backup, "kinds_again");
    expect(report.facts["method"]).toBe("one atomic rename");
    for (const table of [
      "numbers",
      "times",
      "texts",
      "bytes",
      "computed",
      "`od``d /name.%é`",
      "parts",
      "keyless",
      "empty",
    ]) {
      expect(await checksum(`kinds_again.${table}`), table).toBe(await checksum(`kinds.${table}`));
      const [before] = await server.sql(`SHOW CREATE TABLE kinds.${table}`);
      expect(await server.sql(`SHOW CREATE TABLE kinds_again.${table}`)).toEqual([before]);
    }
    expect(await server.sql("SELECT f + 0e0 FROM kinds_again.numbers ORDER BY id")).toEqual(
      await server.sql("SELECT f + 0e0 FROM kinds.numbers ORDER BY id"),
    );
    expect(await server.sql("SELECT HEX(s), HEX(c), HEX(u) FROM kinds_again.texts")).toEqual(
      await server.sql("SELECT HEX(s), HEX(c), HEX(u) FROM kinds.texts"),
    );
    expect(backup.description.counts).toMatchObject({ "table:numbers": 3, "table:bytes": 2, "table:empty": 0 });
  });

  it("comes back where single values nearly fill max_allowed_packet, and says so where a server takes less", async () => {
    await server.sql(
      "CREATE DATABASE huge",
      "USE huge",
      "CREATE TABLE blobs (id INT PRIMARY KEY, b LONGBLOB, t LONGTEXT)",
      "INSERT INTO blobs VALUES (1, REPEAT(UNHEX('00FF275C0AC3'), 2000000), 'x'), (2, NULL, REPEAT('é''\\\\', 2500000)), (3, 'small', NULL)",
      "CREATE TABLE more (id INT PRIMARY KEY, b LONGBLOB)",
      "INSERT INTO more VALUES (1, REPEAT('x', 12000000)), (2, ''), (3, NULL), (4, RANDOM_BYTES(1000))",
    );
    await server.sql("ANALYZE TABLE huge.blobs, huge.more");
    const backup = await takeBackup(source("huge"));
    await server.sql("SET GLOBAL max_allowed_packet = 16777216");
    await expect(restore(backup, "huge_again")).rejects.toMatchObject({ code: "SERVICE_STAGE_FAILED" });
    await server.sql("SET GLOBAL max_allowed_packet = 67108864");
    await restore(backup, "huge_again");
    expect(await checksum("huge_again.blobs")).toBe(await checksum("huge.blobs"));
    expect(await checksum("huge_again.more")).toBe(await checksum("huge.more"));
    await server.sql("SET GLOBAL max_allowed_packet = 16777216");
  });

  it("keeps foreign keys in circles, and they refer to the live tables afterwards", async () => {
    await server.sql(
      "CREATE DATABASE circle",
      "USE circle",
      "CREATE TABLE a (id INT PRIMARY KEY, b INT, KEY (b))",
      "CREATE TABLE b (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id))",
      "ALTER TABLE a ADD CONSTRAINT back FOREIGN KEY (b) REFERENCES b (id)",
      "SET foreign_key_checks = 0",
      "INSERT INTO a VALUES (1, 2)",
      "INSERT INTO b VALUES (2, 1)",
    );
    const backup = await takeBackup(source("circle"));
    await restore(backup, "circle");
    const keys = await server.sql(
      "SELECT FOR_NAME, REF_NAME FROM information_schema.INNODB_SYS_FOREIGN WHERE ID LIKE 'circle%' ORDER BY 1",
    );
    expect(keys).toEqual([
      ["circle/a", "circle/b"],
      ["circle/b", "circle/a"],
    ]);
    await expect(server.sql("INSERT INTO circle.b VALUES (3, 99)")).rejects.toMatchObject({
      facts: { serverError: 1452 },
    });
  });

  it("refuses to swap a database that foreign keys of another one refer to", async () => {
    await server.sql(
      "CREATE DATABASE inside",
      "CREATE TABLE inside.a (id INT PRIMARY KEY)",
      "CREATE DATABASE outside",
      "CREATE TABLE outside.b (a INT, FOREIGN KEY (a) REFERENCES inside.a (id))",
    );
    const backup = await takeBackup(source("inside"));
    await expect(restore(backup, "inside")).rejects.toMatchObject({ code: "SERVICE_UNSUPPORTED" });
  });

  it("keeps routines, triggers, events, views in need of each other, and their definers and settings", async () => {
    await server.sql(
      "CREATE USER nobody IDENTIFIED BY 'x'",
      "GRANT ALL ON *.* TO nobody",
      "CREATE DATABASE objects",
      "USE objects",
      "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, note TEXT)",
      "CREATE VIEW z_base AS SELECT id, note FROM t",
      "CREATE VIEW a_top AS SELECT m.id FROM m_middle_later m".replace("m_middle_later", "z_base"),
      "CREATE DEFINER='nobody'@'%' SQL SECURITY DEFINER VIEW foreigner AS SELECT z.id, 'it''s' AS x FROM z_base z JOIN a_top USING (id)",
      "SET sql_mode = 'ANSI_QUOTES,STRICT_TRANS_TABLES', NAMES latin1".split(", NAMES")[0] ?? "",
      "CREATE DEFINER='nobody'@'%' PROCEDURE p (IN x INT, OUT y INT)\nBEGIN\n  -- a comment; stays\n  /* so does this */\n  SET y = x; # and this\n  INSERT INTO \"t\" (note) VALUES ('p;\\n$$');\nEND",
      "SET sql_mode = ''",
      "CREATE FUNCTION f (s VARCHAR(10) CHARACTER SET utf8mb4) RETURNS VARCHAR(20) DETERMINISTIC RETURN CONCAT(s, 'é')",
      "CREATE TRIGGER second BEFORE INSERT ON t FOR EACH ROW SET NEW.note = CONCAT(NEW.note, '2')",
      "CREATE TRIGGER first BEFORE INSERT ON t FOR EACH ROW PRECEDES second SET NEW.note = CONCAT(NEW.note, '1')",
      "SET time_zone = '+02:00'",
      "CREATE EVENT e ON SCHEDULE EVERY 1 HOUR STARTS '2035-01-01 00:00:00' ON COMPLETION PRESERVE COMMENT 'x' DO DELETE FROM t WHERE id < 0",
      "CREATE EVENT off ON SCHEDULE EVERY 1 DAY DISABLE DO BEGIN DELETE FROM t WHERE id < 0; END",
      "CREATE SEQUENCE s START WITH 5 INCREMENT BY 3 CACHE 10",
      "SELECT NEXTVAL(s)",
    );
    const backup = await takeBackup(source("objects"));
    expect(backup.description.facts["definers"]).toEqual(["nobody@%", "root@127.0.0.1"]);
    await server.sql(
      "USE objects",
      "DROP VIEW a_top",
      "CREATE OR REPLACE VIEW foreigner AS SELECT 1 AS broken",
      "DROP PROCEDURE p",
      "DROP TRIGGER first",
      "DROP EVENT e",
      "CREATE TABLE added (id INT)",
      "CREATE VIEW added_view AS SELECT id FROM added",
      "CREATE PROCEDURE added_procedure () SELECT 1",
    );
    const report = await restore(backup, "objects");
    expect(report.facts["gapMs"]).toBeGreaterThan(0);
    const again = await takeBackup(source("objects"));
    for (const file of ["events.sql", "routines.sql", "triggers.sql", "views.sql", "sequences.sql"]) {
      expect(await text(again, file), file).toBe(await text(backup, file));
    }
    expect(await server.sql("USE objects", "INSERT INTO t (note) VALUES ('x')", "SELECT note FROM t")).toEqual([
      ["x12"],
    ]);
    expect(await server.sql("USE objects", "CALL p(7, @y)", "SELECT @y, COUNT(*) FROM t")).toEqual([["7", "2"]]);
    expect(await server.sql("SELECT id FROM objects.a_top ORDER BY id")).toEqual([["1"], ["2"]]);
    expect(await server.sql("SELECT NEXTVAL(objects.s)")).toEqual([["35"]]);
    // Restored elsewhere, views and triggers use the tables there.
    await restore(backup, "objects_elsewhere");
    await server.sql("DROP DATABASE objects");
    expect(await server.sql("SELECT COUNT(*) FROM objects_elsewhere.a_top")).toEqual([["0"]]);
  });

  it("comes back through an exec prefix", async () => {
    await server.sql(
      "CREATE DATABASE prefixed",
      "CREATE TABLE prefixed.t (id INT PRIMARY KEY)",
      "INSERT INTO prefixed.t VALUES (1)",
    );
    const exec = ["env", "-i", "PATH=/usr/bin:/bin"];
    const backup = await takeBackup(source("prefixed", exec));
    await server.sql("DELETE FROM prefixed.t");
    await restore(backup, "prefixed", exec);
    expect(await server.sql("SELECT id FROM prefixed.t")).toEqual([["1"]]);
  });

  it("is one table alone, if the backup is cut down to that", async () => {
    await server.sql(
      "CREATE DATABASE partly",
      "USE partly",
      "CREATE TABLE wanted (id INT PRIMARY KEY)",
      "CREATE TABLE other (id INT PRIMARY KEY)",
      "CREATE TRIGGER keep AFTER INSERT ON wanted FOR EACH ROW INSERT INTO other VALUES (NEW.id + 100)",
      "INSERT INTO wanted VALUES (1), (2)",
    );
    const backup = await takeBackup(source("partly"));
    await server.sql("DELETE FROM partly.wanted", "INSERT INTO partly.other VALUES (5)");
    const entries = backup.entries.filter(({ path }) => ["", "tables", "tables/wanted.sql"].includes(path.toString()));
    await restore({ ...backup, entries }, "partly");
    await server.sql("INSERT INTO partly.wanted VALUES (3)");
    expect(await server.sql("SELECT id FROM partly.wanted ORDER BY id")).toEqual([["1"], ["2"], ["3"]]);
    expect(await server.sql("SELECT id FROM partly.other ORDER BY id")).toEqual([["5"], ["101"], ["102"], ["103"]]);
  });
});
