import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeTestContext, type MemoryBackup, restorable, takeBackup } from "../../component/conformance/index.ts";
import { sourceId } from "./conformance/source-id.ts";
import type { PostgresqlConfig } from "./postgresql-config.ts";
import { PostgresqlSource } from "./postgresql-source.ts";
import { PostgresqlTarget } from "./postgresql-target.ts";
import { type PostgresqlServer, startPostgresql } from "./postgresql-test-server.ts";

let server: PostgresqlServer;
beforeAll(async () => {
  server = await startPostgresql({ settings: ["wal_level=logical"] });
});
afterAll(() => server.stop());

const roles = `
  CREATE ROLE staff NOLOGIN; CREATE ROLE clerk LOGIN PASSWORD 'clerk''s' VALID UNTIL '2031-02-03 04:05:06+00';
  CREATE ROLE "Odd ""Role""" NOLOGIN; GRANT staff TO clerk WITH ADMIN OPTION; GRANT pg_monitor TO clerk;
  ALTER ROLE clerk SET search_path TO "$user", "Odd Schema"; ALTER ROLE clerk SET work_mem = '8MB';`;

const objects = String.raw`
  CREATE EXTENSION hstore; CREATE EXTENSION pgcrypto;
  CREATE SCHEMA "Odd Schema" AUTHORIZATION clerk;
  CREATE TYPE "Odd Schema".mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
  CREATE TABLE "Odd Schema"."a.b/c ""ü""" (id int PRIMARY KEY, "Col umn" "Odd Schema".mood, h hstore, b bytea, t text);
  INSERT INTO "Odd Schema"."a.b/c ""ü""" VALUES (1, 'ok', 'a=>1', '\x00ff0a5c', E'tab\t nl\n bs\\ cr\r end'),
    (2, NULL, NULL, NULL, '\.'), (3, 'sad', '', '', '\N'), (4, 'sad', '', '', E'\\holdfast-x true 00000\n\\.');
  CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES;
  CREATE TABLE computed (a int GENERATED ALWAYS AS IDENTITY (START 5), b int GENERATED ALWAYS AS (7) STORED, c positive);
  INSERT INTO computed (c) VALUES (1), (2); CREATE TABLE only_computed (b int GENERATED ALWAYS AS (7) STORED);
  INSERT INTO only_computed DEFAULT VALUES;
  CREATE TABLE events (at date NOT NULL, n int) PARTITION BY RANGE (at);
  CREATE TABLE events_25 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
  CREATE TABLE events_rest PARTITION OF events DEFAULT; INSERT INTO events VALUES ('2025-05-05', 1), ('2031-01-01', 2);
  CREATE TABLE parent (x int); CREATE TABLE child (y int) INHERITS (parent);
  INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3);
  CREATE UNLOGGED TABLE unlogged (x float8); INSERT INTO unlogged VALUES (0.1 + 0.2), ('NaN');
  CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);
  ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b; INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1);
  UPDATE a SET b = 1;
  CREATE VIEW va AS SELECT id FROM a; CREATE MATERIALIZED VIEW ma AS SELECT count(*) AS n FROM parent;
  CREATE MATERIALIZED VIEW mempty AS SELECT 1 AS one WITH NO DATA; CREATE UNIQUE INDEX ON ma (n);
  CREATE SEQUENCE called; SELECT nextval('called'), nextval('called'); CREATE SEQUENCE uncalled START 40;
  CREATE SEQUENCE "Set ""not"" called"; SELECT setval('"Set ""not"" called"', 77, false);
  CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
/*
\! false
*/
    NEW.b := coalesce(NEW.b, 1); RETURN NEW; END $$;
  CREATE TRIGGER stamp BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION stamp();
  CREATE PROCEDURE tidy() LANGUAGE sql AS 'DELETE FROM nothing'; CREATE AGGREGATE biggest(int) (SFUNC = int4larger, STYPE = int);
  CREATE TABLE secrets (owner text, what text); ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
  CREATE POLICY mine ON secrets TO clerk USING (owner = current_user); INSERT INTO secrets VALUES ('x', 'y');
  CREATE FUNCTION audit() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
  CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION audit();
  CREATE PUBLICATION everything FOR ALL TABLES;
  CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER far FOREIGN DATA WRAPPER elsewhere;
  CREATE FOREIGN TABLE remote (x int) SERVER far;
  CREATE STATISTICS st ON id, b FROM a; CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
  CREATE COLLATION de (provider = icu, locale = 'de'); COMMENT ON TABLE a IS 'it''s a';
  GRANT SELECT ON a TO staff; GRANT UPDATE (b) ON a TO "Odd ""Role""" WITH GRANT OPTION; REVOKE ALL ON SCHEMA public FROM PUBLIC;
  ALTER DEFAULT PRIVILEGES FOR ROLE clerk IN SCHEMA public GRANT SELECT ON TABLES TO staff; ALTER VIEW va OWNER TO clerk;
  SELECT lo_from_bytea(4711, decode(repeat('00ff0a5c', 20000), 'hex')); SELECT lo_from_bytea(42, ''); SELECT lo_create(9000);
  ALTER LARGE OBJECT 4711 OWNER TO clerk; GRANT SELECT ON LARGE OBJECT 42 TO staff; COMMENT ON LARGE OBJECT 42 IS 'empty';
  COMMENT ON DATABASE shop IS 'It''s the shop \'; ALTER DATABASE shop SET work_mem = '7MB';
  ALTER DATABASE shop SET search_path TO "$user", public, "Odd Schema"; ALTER ROLE clerk IN DATABASE shop SET datestyle = 'German';
  ALTER DATABASE shop SET app.secret TO 'a''b\c'; ALTER DATABASE shop CONNECTION LIMIT 55; ALTER DATABASE shop OWNER TO clerk;
  REVOKE CONNECT ON DATABASE shop FROM PUBLIC; GRANT CREATE ON DATABASE shop TO staff WITH GRANT OPTION;`;

/** Everything pg_dump knows of a database, rows included, as text. */
function fullDump(of: PostgresqlServer, database: string): string {
  const args = [
    "--create",
    "--restrict-key=same",
    "-h",
    "127.0.0.1",
    "-p",
    String(of.port),
    "-U",
    "postgres",
    database,
  ];
  return execFileSync("pg_dump", args, {
    encoding: "utf8",
    env: { ...process.env, PGPASSWORD: of.password },
    maxBuffer: 64 << 20,
  });
}

/** The roles without the order in which they were made. */
function roleDump(of: PostgresqlServer): string[] {
  const args = ["--roles-only", "--restrict-key=same", "-h", "127.0.0.1", "-p", String(of.port), "-U", "postgres"];
  const env = { ...process.env, PGPASSWORD: of.password };
  return execFileSync("pg_dumpall", args, { encoding: "utf8", env })
    .split("\n")
    .filter((line) => /clerk|staff|Odd/.test(line))
    .toSorted();
}

async function restore(config: PostgresqlConfig, backup: MemoryBackup): Promise<void> {
  await using context = await makeTestContext({ contents: backup.contents });
  const target = new PostgresqlTarget(sourceId, config);
  await target.stage(context, restorable(backup));
  await target.swap(context, 10_000);
  await target.settle(context);
}

describe("PostgreSQL's kinds of objects", () => {
  it("come back in place and on a fresh server as pg_dump sees them, with roles, grants, settings and large objects", async () => {
    server.sql("postgres", `${roles} CREATE DATABASE shop;`);
    server.sql("shop", objects);
    const config: PostgresqlConfig = { type: "postgresql", url: server.url("shop") };
    const before = fullDump(server, "shop");
    expect(before).toContain("4711");
    const backup = await takeBackup(new PostgresqlSource(sourceId, config));
    expect(backup.description.counts).toMatchObject({
      'table:Odd Schema.a.b/c "ü"': 4,
      "table:public.nothing": 2,
      "table:public.events_25": 1,
      "table:public.parent": 1,
    });

    server.sql("shop", "DROP SCHEMA public CASCADE; SELECT lo_unlink(4711);");
    server.sql("postgres", "ALTER DATABASE shop RESET ALL; COMMENT ON DATABASE shop IS NULL;");
    await restore(config, backup);
    expect(fullDump(server, "shop")).toBe(before);

    const fresh = await startPostgresql({ settings: ["wal_level=logical"] });
    try {
      await restore({ type: "postgresql", url: fresh.url("shop") }, backup);
      expect(fullDump(fresh, "shop")).toBe(before);
      expect(roleDump(fresh)).toEqual(roleDump(server));
    } finally {
      await fresh.stop();
    }
  });

  it("leave roles that exist as they are", async () => {
    server.sql("postgres", "CREATE ROLE keeper LOGIN; CREATE DATABASE kept OWNER keeper;");
    const config: PostgresqlConfig = { type: "postgresql", url: server.url("kept") };
    const backup = await takeBackup(new PostgresqlSource(sourceId, config));
    server.sql("postgres", "ALTER ROLE keeper NOLOGIN CONNECTION LIMIT 3;");
    await restore(config, backup);
    expect(server.sql("postgres", "SELECT rolcanlogin, rolconnlimit FROM pg_roles WHERE rolname = 'keeper'")).toBe(
      "f|3",
    );
    expect(server.sql("postgres", "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'kept'")).toBe(
      "keeper",
    );
  });
});
