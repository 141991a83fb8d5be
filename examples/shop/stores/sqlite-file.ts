import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { codeOf } from "../retry.ts";

/**
 * A SQLite database that may be replaced by another file under the same name while it is open, as a restore does: each
 * use looks whether it still is the same file, and opens the new one if not.
 */
export class SqliteFile {
  readonly #path: string;
  readonly #schema: string;
  #database: DatabaseSync | undefined;
  #inode = 0n;

  /** `schema` is run at each opening and must do no harm to what is there. */
  constructor(path: string, schema: string) {
    this.#path = path;
    this.#schema = schema;
  }

  get(): DatabaseSync {
    if (this.#database !== undefined && inodeOf(this.#path) === this.#inode) return this.#database;
    this.close();
    const database = new DatabaseSync(this.#path, { timeout: 10_000 });
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    database.exec(this.#schema);
    this.#database = database;
    this.#inode = inodeOf(this.#path);
    return database;
  }

  close(): void {
    this.#database?.close();
    this.#database = undefined;
  }
}

function inodeOf(path: string): bigint {
  try {
    return statSync(path, { bigint: true }).ino;
  } catch (error) {
    // Away for the moment of an exchange, or not made yet.
    if (codeOf(error) !== "ENOENT") throw error;
    return 0n;
  }
}
