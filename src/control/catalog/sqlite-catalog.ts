import { chmod, open } from "node:fs/promises";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Kysely } from "kysely";
import { HoldfastError, messageOf, systemErrorCode } from "../../base/index.ts";
import { ActivityFeed } from "../activities/activity-feed.ts";
import { CatalogDatabase } from "./catalog-database.ts";
import { migrate } from "./catalog-migrations.ts";
import type { CatalogTables } from "./catalog-schema.ts";
import { sqliteChanges } from "./dialect/sqlite-changes.ts";
import { sqliteDialect } from "./dialect/sqlite-dialect.ts";
import type { OpenCatalog, OpenCatalogOptions } from "./open-catalog.ts";
import { QueryCatalog } from "./query-catalog.ts";

/**
 * The catalog in an SQLite file: WAL, synchronous FULL, so that what a call has resolved survives a power cut. Several
 * processes of one machine may have it open. @throws HoldfastError STATE_UNUSABLE
 */
export async function openSqliteCatalog(options: OpenCatalogOptions & { readonly file: string }): Promise<OpenCatalog> {
  const { file } = options;
  let database: DatabaseSync | undefined;
  try {
    // SQLite gives its -wal and -shm files the mode of the database, so that has to be right before they are made.
    await (await open(file, "a", 0o600)).close();
    await chmod(file, 0o600);
    database = new DatabaseSync(file, { timeout: options.timeoutMs ?? 10_000 });
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    const queries = new Kysely<CatalogTables>({ dialect: sqliteDialect(database) });
    await migrate(queries, "sqlite", file);
    return new QueryCatalog(
      new CatalogDatabase(queries, {
        kind: "sqlite",
        clock: options.clock,
        feed: new ActivityFeed(sqliteChanges(database)),
        toError: (error) => unusable(file, error),
      }),
    );
  } catch (error) {
    if (database?.isOpen === true) database.close();
    throw unusable(file, error);
  }
}

function unusable(file: string, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  return new HoldfastError("STATE_UNUSABLE", `The catalog ${file} cannot be used: ${messageOf(error)}`, {
    facts: { file },
    remedy: remedyFor(file, error),
    cause: error,
  });
}

function remedyFor(file: string, error: unknown): string {
  if (systemErrorCode(error) === "ENOENT") return "Make the state folder:  holdfast init";
  if (systemErrorCode(error) === "EACCES") return `Run it as the user that owns ${dirname(file)}, or as root.`;
  return "Look at the file's owner and the room on its disk. The repository has everything that the catalog has.";
}
