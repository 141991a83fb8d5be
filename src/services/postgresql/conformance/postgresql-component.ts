import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { ComponentUnderTest, Load } from "../../../component/conformance/index.ts";
import type { PostgresqlConfig } from "../postgresql-config.ts";
import { PostgresqlSource } from "../postgresql-source.ts";
import { PostgresqlTarget } from "../postgresql-target.ts";
import type { PostgresqlServer } from "../postgresql-test-server.ts";
import { sourceId } from "./source-id.ts";

const schema = `
  CREATE TABLE customers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, favourite int);
  CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL REFERENCES customers, total numeric,
    doubled numeric GENERATED ALWAYS AS (total * 2) STORED);
  ALTER TABLE customers ADD FOREIGN KEY (favourite) REFERENCES orders DEFERRABLE INITIALLY DEFERRED;
  CREATE VIEW totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
  CREATE TABLE load_records (n int PRIMARY KEY);
  INSERT INTO customers (name) SELECT 'customer ' || g FROM generate_series(1, 50) g;
  INSERT INTO orders (customer, total) SELECT 1 + g % 50, g FROM generate_series(1, 200) g;
  UPDATE customers SET favourite = id;
`;

let count = 0;

/** A database of its own on a shared server, for the conformance suite. */
export async function postgresqlUnderTest(server: PostgresqlServer, user = "postgres"): Promise<ComponentUnderTest> {
  count += 1;
  const database = `shop ${count}`;
  server.sql("postgres", `CREATE DATABASE "${database}" OWNER "${user}";`);
  server.sql(database, `SET ROLE "${user}"; ${schema}`);
  const config: PostgresqlConfig = { type: "postgresql", url: server.url(database, user) };
  const sql = (text: string): string => server.sql(database, `SET ROLE "${user}"; ${text}`);
  return {
    atomicFreeze: true,
    source: () => new PostgresqlSource(sourceId, config),
    target: () => new PostgresqlTarget(sourceId, config),
    mutate: async (n) =>
      void sql(`SET statement_timeout = '10s'; INSERT INTO orders (customer, total)
      VALUES (1, ${n}), (2, ${n}.5); UPDATE customers SET name = name || '${n}' WHERE id % 7 = ${n % 7};
      DELETE FROM orders WHERE id % 50 = ${n % 50} AND id > 50;`),
    liveState: async () =>
      sql(`SELECT * FROM customers ORDER BY id; SELECT * FROM orders ORDER BY id;
      SELECT * FROM totals ORDER BY 1; SELECT last_value, is_called FROM orders_id_seq;`),
    startLoad: () => startLoad(server, database),
    loadRecords: async () => sql("SELECT n FROM load_records ORDER BY n").split("\n").filter(Boolean).map(Number),
    destroyData: async () =>
      void sql(
        "DROP TABLE orders CASCADE; DELETE FROM customers; CREATE TABLE orders (id int);" +
          "CREATE VIEW totals AS SELECT 1; CREATE SEQUENCE orders_id_seq;",
      ),
    leftovers: () => leftovers(server),
    dispose: async () => void server.sql("postgres", `DROP DATABASE IF EXISTS "${database}" WITH (FORCE);`),
  };
}

/** Scratch databases and sessions; a session that is ending is given two seconds. */
async function leftovers(server: PostgresqlServer): Promise<string[]> {
  const startedAt = performance.now();
  for (;;) {
    const found = server
      .sql(
        "postgres",
        `SELECT 'database ' || datname FROM pg_database WHERE datname LIKE '%\\_hf\\_%'
         UNION ALL SELECT 'session ' || query FROM pg_stat_activity WHERE application_name LIKE 'holdfast%'`,
      )
      .split("\n")
      .filter(Boolean);
    if (found.length === 0 || performance.now() - startedAt > 2000) return found;
    await delay(10);
  }
}

/** One psql that inserts record after record, each in a transaction of its own. */
async function startLoad(server: PostgresqlServer, database: string): Promise<Load> {
  const psql = spawn("psql", ["-XAtq", "-v", "ON_ERROR_STOP=1", server.url(database)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  let acknowledged = Number(server.sql(database, "SELECT coalesce(max(n), 0) FROM load_records"));
  let stopping = false;
  const write = (): void => {
    if (!stopping) psql.stdin.write(`INSERT INTO load_records VALUES (${acknowledged + 1}) RETURNING n;\n`);
  };
  psql.stdout.setEncoding("utf8").on("data", (text: string) => {
    acknowledged = Number(text.trim());
    write();
  });
  const exited = once(psql, "exit");
  write();
  return {
    acknowledged: () => acknowledged,
    stop: async () => {
      stopping = true;
      psql.stdin.end();
      const [code] = (await exited) as [number | null];
      if (code !== 0) throw new Error(`The load's psql exited with ${code}.`);
    },
  };
}
