/** How the files that a backup has of a database become one text for the database's client program. */
export interface SqlScript {
  /** The program that loads it. */
  readonly client: "psql" | "mariadb or mysql";
  /** What the backup's component has at its root, in the order in which it is loaded; what is not named here is left out. */
  inLoadOrder(names: readonly string[]): readonly string[];
}

/**
 * By the kind of a backup's component, as docs/services.md lays their files out. Left out is what stands above the one
 * database: PostgreSQL's roles with their passwords and CREATE DATABASE, MariaDB's ALTER DATABASE, which names it.
 */
const scripts: Readonly<Record<string, SqlScript>> = {
  postgresql: {
    client: "psql",
    inLoadOrder: (names) => names.filter((name) => /^[3-7]-/.test(name)).toSorted(),
  },
  mariadb: {
    client: "mariadb or mysql",
    // Views may call routines, and triggers read views. Events come last: they could begin to run.
    inLoadOrder: (names) =>
      ["sequences.sql", "tables", "routines.sql", "views.sql", "triggers.sql", "events.sql"].filter((name) =>
        names.includes(name),
      ),
  },
};

/** Undefined for what is no database of tables in SQL. */
export const sqlScript = (kind: string): SqlScript | undefined =>
  Object.hasOwn(scripts, kind) ? scripts[kind] : undefined;
