import { DatabaseSync } from "node:sqlite";
import type { CatalogPlace } from "../../../src/control/index.ts";
import type { CatalogKind } from "../../../src/control/catalog/catalog-schema.ts";
import type { PostgresqlServer } from "../../../src/services/conformance/index.ts";

/**
 * SQL that has the database itself keep a list of all changes of activities' states and of all claims with their times, and
 * refuse a second activity in progress in one environment.
 */
export const watchStates: Readonly<Record<CatalogKind, string>> = {
  sqlite: `
    CREATE TABLE state_changes (activity TEXT, was TEXT, now TEXT);
    CREATE TRIGGER watch_states AFTER UPDATE OF state ON activities WHEN old.state <> new.state BEGIN
      INSERT INTO state_changes VALUES (new.id, old.state, new.state);
      SELECT RAISE(ABORT, 'two at once') FROM activities WHERE project = new.project AND environment = new.environment
        AND state = 'in_progress' AND new.state = 'in_progress' AND id <> new.id;
    END;
    CREATE TABLE claims (activity TEXT, fence INTEGER, at INTEGER);
    CREATE TRIGGER watch_claims AFTER UPDATE OF fence ON activities BEGIN
      INSERT INTO claims VALUES (new.id, new.fence, CAST(unixepoch('subsec') * 1000 AS INTEGER));
    END;`,
  postgresql: `
    CREATE TABLE state_changes (activity TEXT, was TEXT, now TEXT);
    CREATE FUNCTION watch_states() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
      INSERT INTO state_changes VALUES (new.id, old.state, new.state);
      IF new.state = 'in_progress' AND EXISTS (SELECT FROM activities WHERE project = new.project
          AND environment = new.environment AND state = 'in_progress' AND id <> new.id) THEN
        RAISE EXCEPTION 'two at once';
      END IF;
      RETURN NULL;
    END $body$;
    CREATE TRIGGER watch_states AFTER UPDATE OF state ON activities FOR EACH ROW WHEN (old.state <> new.state)
      EXECUTE FUNCTION watch_states();
    CREATE TABLE claims (activity TEXT, fence BIGINT, at BIGINT);
    CREATE FUNCTION watch_claims() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN
      INSERT INTO claims VALUES (new.id, new.fence, extract(epoch FROM clock_timestamp()) * 1000);
      RETURN NULL;
    END $body$;
    CREATE TRIGGER watch_claims AFTER UPDATE OF fence ON activities FOR EACH ROW EXECUTE FUNCTION watch_claims();`,
};

/** Must have no rows: activities that did not end exactly once, or went on after it. */
export const endedWrongly = `
  SELECT id FROM activities LEFT JOIN state_changes ON activity = id GROUP BY id
  HAVING coalesce(sum(CASE WHEN now IN ('complete', 'cancelled') THEN 1 ELSE 0 END), 0) <> 1
    OR coalesce(sum(CASE WHEN was IN ('complete', 'cancelled') THEN 1 ELSE 0 END), 0) <> 0`;

/** Milliseconds from a kill until the last of the activities that were begun before it was claimed again; null for none. */
export const longestUntilTakenUp = (killedAtMs: number): string => `
  SELECT max(first) - ${killedAtMs} FROM (
    SELECT min(at) AS first FROM claims AS again WHERE at >= ${killedAtMs}
      AND EXISTS (SELECT 1 FROM claims WHERE activity = again.activity AND at < ${killedAtMs}) GROUP BY activity) AS firsts`;

/** Runs SQL on a catalog as another program would; returns the first columns of what the last statement yields. */
export function catalogSql(place: CatalogPlace, server: PostgresqlServer | undefined): (text: string) => string[] {
  return (text) => {
    if ("url" in place) {
      if (server === undefined) throw new TypeError("a catalog in PostgreSQL has a server");
      return server
        .sql(new URL(place.url).pathname.slice(1), text)
        .split("\n")
        .filter((line) => line !== "");
    }
    const database = new DatabaseSync(place.file, { timeout: 30_000 });
    try {
      if (!/^\s*SELECT/.test(text)) {
        database.exec(text);
        return [];
      }
      return database
        .prepare(text)
        .all()
        .map((row) => String(Object.values(row)[0] ?? ""));
    } finally {
      database.close();
    }
  };
}
