import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startMariadb, type TestMariadb } from "../../src/services/mariadb/mariadb-test-server.ts";
import { type PostgresqlServer, startPostgresql } from "../../src/services/postgresql/postgresql-test-server.ts";
import { config, createLive, folder, holdfast, useShop } from "../../src/main/testing/shop-commands.ts";

let postgresql: PostgresqlServer;
let mariadb: TestMariadb;

useShop();
beforeAll(async () => {
  [postgresql, mariadb] = await Promise.all([startPostgresql(), startMariadb()]);
  postgresql.sql("postgres", "CREATE DATABASE shop");
  postgresql.sql("postgres", "CREATE ROLE clerk LOGIN PASSWORD 'very-secret'");
  postgresql.sql(
    "shop",
    `CREATE TABLE customer (id serial PRIMARY KEY, name text NOT NULL);
     CREATE TABLE "Order" (id int PRIMARY KEY, customer int REFERENCES customer, note text);
     CREATE VIEW names AS SELECT name FROM customer;
     GRANT SELECT ON customer TO clerk;
     INSERT INTO customer (name) SELECT 'name ' || n FROM generate_series(1, 20000) n;
     INSERT INTO "Order" VALUES (1, 20000, E'tab\\there, back\\\\slash, line\\nend, ä'), (2, 1, NULL);
     SELECT lo_from_bytea(4711, 'large');`,
  );
  await mariadb.sql(
    "CREATE DATABASE shop",
    "USE shop",
    "CREATE TABLE customer (id INT AUTO_INCREMENT PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE TABLE an_order (id INT PRIMARY KEY, customer INT, note TEXT, FOREIGN KEY (customer) REFERENCES customer (id))",
    "INSERT INTO customer (name) VALUES ('Ann; \\'quoted\\''), ('Bö')",
    "INSERT INTO an_order VALUES (1, 2, 'line\\nend'), (2, 1, NULL)",
    "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC BEGIN DECLARE m INT; SET m = n * 2; RETURN m; END",
    "CREATE VIEW doubled AS SELECT twice(id) AS two FROM customer",
    "CREATE TRIGGER upper_case BEFORE INSERT ON customer FOR EACH ROW SET NEW.name = UPPER(NEW.name)",
  );
  const services = `services:
          db: { type: postgresql, url: "${postgresql.url("shop")}" }
          old: { type: mariadb, url: "${mariadb.url("shop")}" }
          flags: { type: sqlite, path: ./flags.db }`;
  const declared = config("upsun").replace("services: { flags: { type: sqlite, path: ./flags.db } }", services);
  await writeFile(join(folder, "holdfast.yaml"), declared);
  expect((await holdfast("init")).exit).toBe(0);
});
// Once the shop's own files are there.
let backup: Promise<string> | undefined;
beforeEach(async () => {
  backup ??= createLive();
  await backup;
});
afterAll(async () => {
  await Promise.all([postgresql.stop(), mariadb.stop()]);
});

const out = (name: string): string => join(folder, name);

function psqlLoads(database: string, sql: string | Buffer): void {
  postgresql.sql("postgres", `CREATE DATABASE ${database}`);
  const url = postgresql.url(database);
  execFileSync("psql", ["-Xq", "-v", "ON_ERROR_STOP=1", url], { input: sql, stdio: ["pipe", "ignore", "inherit"] });
}

describe("db:dump", () => {
  test("writes a file that psql loads into an empty database, with every row", async () => {
    const { exit, err } = await holdfast("db:dump -r db");
    expect(exit, err).toBe(0);
    expect(err).toMatch(/^Writing service:db of the backup [a-z2-7]{26} \(\d+ \w+ \d{4} \d\d:\d\d \S+, .+\) to /);
    const file = out("shop--main--db--dump.sql");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const sql = await readFile(file);
    expect(sql.includes("CREATE ROLE") || sql.includes("SCRAM-SHA-256")).toBe(false);
    psqlLoads("loaded", sql);
    for (const query of [
      "SELECT count(*), sum(id), max(name) FROM customer",
      'SELECT * FROM "Order" ORDER BY id',
      "SELECT count(*) FROM names",
      "SELECT nextval('customer_id_seq')",
      "SELECT lo_get(4711)",
      "SELECT conname FROM pg_constraint WHERE conrelid IN ('customer'::regclass, '\"Order\"'::regclass) ORDER BY 1",
      "SELECT has_table_privilege('clerk', 'customer', 'SELECT')",
    ]) {
      expect(postgresql.sql("loaded", query), query).toBe(postgresql.sql("shop", query));
    }
  });

  test("writes to standard output, compressed if it is asked to", async () => {
    const plain = await holdfast("db:dump -r db -o");
    expect(plain.exit, plain.err).toBe(0);
    expect(plain.out).toContain('COPY "public"."customer"');
    const compressed = await holdfast("db:dump -r db -z -t -d .");
    expect(compressed.exit, compressed.err).toBe(0);
    const name = (await readdir(folder)).find((one) => /^shop--main--db--dump--\d{8}-\d{6}-UTC\.sql\.gz$/.test(one));
    expect(gunzipSync(await readFile(out(name ?? "none"))).toString()).toBe(plain.out);
  });

  test("writes a file that MariaDB's client loads into an empty database", async () => {
    await mkdir(out("dumps"));
    const { exit, err } = await holdfast("db:dump -r old -d dumps -f old.sql --backup latest");
    expect(exit, err).toBe(0);
    await mariadb.sql("CREATE DATABASE loaded");
    const { hostname, port, username, password } = new URL(mariadb.url("loaded"));
    const client = spawn("mariadb", ["--no-defaults", "-h", hostname, "-P", port, "-u", username, "loaded"], {
      env: { ...process.env, MYSQL_PWD: decodeURIComponent(password) },
      stdio: ["pipe", "ignore", "pipe"],
    });
    const said = text(client.stderr);
    client.stdin.end(await readFile(out("dumps/old.sql")));
    expect([await once(client, "close"), await said]).toEqual([[0, null], ""]);
    for (const table of ["customer", "an_order", "doubled"]) {
      const rows = await mariadb.sql(`SELECT * FROM loaded.${table} ORDER BY 1`);
      expect(rows, table).toEqual(await mariadb.sql(`SELECT * FROM shop.${table} ORDER BY 1`));
      expect(rows, table).toHaveLength(2);
    }
    await mariadb.sql("INSERT INTO loaded.customer (name) VALUES ('new')");
    expect(await mariadb.sql("SELECT name FROM loaded.customer WHERE id = 3")).toEqual([["NEW"]]);
  });

  test("replaces a file only when it is told to, and leaves none behind when it fails", async () => {
    await writeFile(out("mine.sql"), "mine");
    const asked = await holdfast("db:dump -r db -f mine.sql");
    expect([asked.exit, asked.err]).toEqual([1, expect.stringContaining("exists and will be replaced")]);
    expect((await holdfast("db:dump -r db -f mine.sql", { typed: "n" })).exit).toBe(1);
    expect(await readFile(out("mine.sql"), "utf8")).toBe("mine");
    expect((await holdfast("db:dump -r db -f mine.sql -y")).exit).toBe(0);
    expect(await readFile(out("mine.sql"), "utf8")).toContain('COPY "public"."customer"');
    expect((await holdfast("db:dump")).err).toContain("Databases: db, old.");
    expect((await holdfast("db:dump -r flags")).err).toContain("There is no SQL of service:flags: it is sqlite.");
    expect((await holdfast("db:dump -r none")).err).toContain("SOURCE_NOT_FOUND");
    expect((await holdfast("db:dump -r db -d no/folder")).err).toContain("cannot be written");
    expect((await holdfast("db:dump -r db -o -f x.sql")).err).toContain("INPUT_INVALID");
    expect((await readdir(folder)).filter((name) => name.endsWith(".partial"))).toEqual([]);
  });
});
