import type { DatabaseSync } from "node:sqlite";
import { HoldfastError } from "../../base/index.ts";

/** In order, each run once; never edit one that was released. `PRAGMA user_version` counts those that have run. */
const migrations: readonly string[] = [
  `CREATE TABLE backups (
     project TEXT NOT NULL,
     id TEXT NOT NULL,
     environment TEXT NOT NULL,
     created_at INTEGER NOT NULL,
     updated_at INTEGER NOT NULL,
     status TEXT NOT NULL CHECK (status IN ('CREATED', 'DELETING')),
     record TEXT NOT NULL,
     PRIMARY KEY (project, id)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX backups_by_environment ON backups (project, environment, created_at DESC, id DESC);
   CREATE INDEX backups_by_time ON backups (project, created_at DESC, id DESC);
   CREATE TABLE environments (
     project TEXT NOT NULL,
     id TEXT NOT NULL,
     status TEXT NOT NULL,
     updated_at INTEGER NOT NULL,
     PRIMARY KEY (project, id)
   ) STRICT, WITHOUT ROWID;`,
];

const versionOf = (database: DatabaseSync): number =>
  Number(database.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);

/** Brings the database up to date; safe when several processes do it at once. @throws HoldfastError STATE_UNUSABLE */
export function migrate(database: DatabaseSync, file: string): void {
  const before = versionOf(database);
  if (before === migrations.length) return;
  if (before > migrations.length) {
    throw new HoldfastError(
      "STATE_UNUSABLE",
      `The catalog ${file} is of version ${before}; this program knows versions up to ${migrations.length}.`,
      { facts: { file, version: before }, remedy: "Use the newer Holdfast that wrote it." },
    );
  }
  database.exec("BEGIN IMMEDIATE");
  try {
    // Another process may have migrated while this one waited for the lock.
    for (let version = versionOf(database); version < migrations.length; version += 1) {
      database.exec(migrations[version] ?? "");
      database.exec(`PRAGMA user_version = ${version + 1}`);
    }
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}
