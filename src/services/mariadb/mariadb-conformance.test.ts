import { afterAll, beforeAll } from "vitest";
import type { SourceId } from "../../base/index.ts";
import { type ComponentUnderTest, describeComponent, type Load } from "../../component/conformance/index.ts";
import type { MariadbConfig } from "./mariadb-config.ts";
import type { MariadbSession } from "./mariadb-session.ts";
import { MariadbSource } from "./mariadb-source.ts";
import { MariadbTarget } from "./mariadb-target.ts";
import { startMariadb, type TestMariadb } from "./mariadb-test-server.ts";

let server: TestMariadb;
let databases = 0;

beforeAll(async () => {
  server = await startMariadb();
});
afterAll(() => server.stop());

describeComponent("a MariaDB database", makeComponent);

async function makeComponent(): Promise<ComponentUnderTest> {
  databases += 1;
  const database = `shop_${databases}`;
  const config: MariadbConfig = { type: "mariadb", url: server.url(database) };
  const session = await server.session();
  await session.queryAll([
    `CREATE DATABASE ${database} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`,
    `USE ${database}`,
    "CREATE TABLE customers (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100) NOT NULL, photo BLOB)",
    "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, total DECIMAL(10,2), FOREIGN KEY (customer) REFERENCES customers (id))",
    "CREATE TABLE audit (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(100)) ENGINE=MyISAM",
    "CREATE TABLE load_records (n INT PRIMARY KEY)",
    "CREATE SEQUENCE numbers",
    "CREATE TRIGGER on_order AFTER INSERT ON orders FOR EACH ROW INSERT INTO audit (what) VALUES (CONCAT('order ', NEW.id))",
    "CREATE VIEW big_orders AS SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer WHERE o.total > 10",
    "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n",
    "CREATE EVENT clean_up ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM audit WHERE id < 0",
    "SET SESSION lock_wait_timeout = 10",
  ]);
  return {
    atomicFreeze: true,
    source: () => new MariadbSource("service:db" as SourceId, config),
    target: () => new MariadbTarget("service:db" as SourceId, config),
    mutate: async (n) => {
      await session.queryAll([
        `INSERT INTO customers (name, photo) VALUES ('Zoë ''${n}''', UNHEX('00FF275C0A0D1A${n.toString(16).padStart(8, "0")}'))`,
        `INSERT INTO orders (customer, total) VALUES (LAST_INSERT_ID(), ${n} * 7.25)`,
        `UPDATE orders SET total = total + 1 WHERE id % 2 = ${n % 2}`,
        `DELETE FROM audit WHERE id % 3 = ${n % 3}`,
        "SELECT NEXTVAL(numbers)",
      ]);
    },
    liveState: () => liveState(session, database),
    startLoad: () => startLoad(database),
    loadRecords: async () => (await session.query("SELECT n FROM load_records ORDER BY n")).map(([n]) => Number(n)),
    destroyData: async () => {
      await session.queryAll([
        "DELETE FROM orders",
        "DROP VIEW big_orders",
        "DROP FUNCTION twice",
        "DROP TABLE audit",
        "ALTER TABLE customers ADD COLUMN wrong INT",
        "CREATE TABLE rubbish (id INT)",
      ]);
    },
    leftovers: async () => {
      const own = await server.sql(
        "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '%\\_hf\\_%'",
      );
      return own.flat();
    },
    dispose: async () => {
      await session.query(`DROP DATABASE IF EXISTS ${database}`);
      await session.close();
    },
  };
}

async function liveState(session: MariadbSession, database: string): Promise<string> {
  const tables = await session.query(
    `SELECT TABLE_NAME, TABLE_TYPE, ENGINE, AUTO_INCREMENT FROM information_schema.TABLES
     WHERE TABLE_SCHEMA = '${database}' AND TABLE_NAME <> 'load_records' ORDER BY TABLE_NAME`,
  );
  const names = tables.map(([name]) => name ?? "");
  const definitions = await session.queryAll(names.map((name) => `SHOW CREATE TABLE ${name}`));
  const rows = await session.queryAll(
    names.map((name) =>
      name === "customers" ? "SELECT *, HEX(photo) FROM customers ORDER BY 1" : `SELECT * FROM ${name} ORDER BY 1`,
    ),
  );
  const others = await session.queryAll([
    `SELECT TRIGGER_NAME, ACTION_STATEMENT, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '${database}' ORDER BY 1`,
    `SELECT ROUTINE_NAME, ROUTINE_DEFINITION, DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '${database}' ORDER BY 1`,
    `SELECT EVENT_NAME, EVENT_DEFINITION, STATUS, STARTS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '${database}' ORDER BY 1`,
    `SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '${database}'`,
  ]);
  return JSON.stringify({ tables, definitions, rows, others }, undefined, 1);
}

async function startLoad(database: string): Promise<Load> {
  const session = await server.session();
  await session.queryAll([`USE ${database}`, "SET SESSION lock_wait_timeout = 10", "DELETE FROM load_records"]);
  let acknowledged = 0;
  let stopping = false;
  const writing = (async (): Promise<void> => {
    while (!stopping) {
      await session.query(`INSERT INTO load_records VALUES (${acknowledged + 1})`);
      acknowledged += 1;
    }
  })();
  writing.catch(() => undefined);
  return {
    acknowledged: () => acknowledged,
    stop: async () => {
      stopping = true;
      try {
        await writing;
      } finally {
        await session.close();
      }
    },
  };
}
