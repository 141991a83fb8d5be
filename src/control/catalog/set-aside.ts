import { rename } from "node:fs/promises";
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { type Clock, HoldfastError, messageOf, systemErrorCode } from "../../base/index.ts";

/**
 * Moves a catalog file that SQLite finds damaged, or no database at all, out of the way, with its -wal; a sound or missing
 * one stays. Returns the new path. What another process has open goes on existing under that path.
 * @throws HoldfastError STATE_UNUSABLE where it can neither be read nor moved
 */
export async function setDamagedCatalogAside(file: string, clock: Clock): Promise<string | undefined> {
  if (!existsSync(file) || isSound(file)) return undefined;
  const aside = `${file}.damaged-${clock.now().toISOString().replaceAll(/[:.]/g, "-")}`;
  try {
    // The -wal first: a new catalog must never meet it.
    for (const suffix of ["-wal", "-shm", ""]) {
      if (existsSync(file + suffix)) await rename(file + suffix, aside + suffix);
    }
  } catch (error) {
    throw unusable(file, error);
  }
  return aside;
}

/** SQLITE_CORRUPT, SQLITE_NOTADB: in the low byte, the rest says more. */
const damageCodes = new Set([11, 26]);

function isSound(file: string): boolean {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 10_000 });
    const row = database.prepare("PRAGMA quick_check(1)").get();
    return row?.["quick_check"] === "ok";
  } catch (error) {
    if (error instanceof Error && "errcode" in error && damageCodes.has(Number(error.errcode) & 0xff)) return false;
    throw unusable(file, error);
  } finally {
    database?.close();
  }
}

function unusable(file: string, error: unknown): HoldfastError {
  return new HoldfastError("STATE_UNUSABLE", `The catalog ${file} cannot be looked at: ${messageOf(error)}`, {
    facts: { file, code: systemErrorCode(error) ?? "" },
    remedy: "Look at the file's owner and the room on its disk.",
    cause: error,
  });
}
