import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../../base/index.ts";
import { readSetting, type RedisServer } from "./redis-server-facts.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { RespError } from "./resp-parser.ts";

// A snapshot sent straight to us leaves no dump.rdb on the server's disk, where a restart of a server that keeps nothing
// would find it; and without the delay the server forks at once.
const wanted: Readonly<Record<string, string>> = { "repl-diskless-sync": "yes", "repl-diskless-sync-delay": "0" };

const notesPath = (workDirectory: string): string => join(workDirectory, "redis-settings.json");

/**
 * Sets what a diskless snapshot without delay needs, having noted the values before in `workDirectory`.
 * Returns false where CONFIG is not permitted: then the server writes its snapshot to its own disk first.
 */
export async function changeSettings(
  connection: RedisConnection,
  server: RedisServer,
  workDirectory: string,
): Promise<boolean> {
  if (server.isReplica) return false;
  const before: Record<string, string> = {};
  for (const [name, value] of Object.entries(wanted)) {
    const now = await readSetting(connection, name);
    if (now === undefined) return false;
    if (now !== value) before[name] = now;
  }
  if (Object.keys(before).length === 0) return true;
  await using file = await open(notesPath(workDirectory), "w", 0o600);
  await file.writeFile(JSON.stringify(before));
  await file.sync();
  for (const name of Object.keys(before)) {
    if ((await connection.send(["CONFIG", "SET", name, wanted[name] as string])) instanceof RespError) {
      await restoreSettings(connection, workDirectory);
      return false;
    }
  }
  return true;
}

/** Puts back what `changeSettings` noted in `workDirectory`, unless somebody has changed it since. Idempotent. */
export async function restoreSettings(connection: RedisConnection, workDirectory: string): Promise<void> {
  const before = await notedSettings(workDirectory);
  if (before === undefined) return;
  for (const [name, value] of Object.entries(before)) {
    if ((await readSetting(connection, name)) === wanted[name]) await connection.send(["CONFIG", "SET", name, value]);
  }
  await rm(notesPath(workDirectory), { force: true });
}

/** What is noted as changed, or undefined if nothing is. */
export async function notedSettings(workDirectory: string): Promise<Record<string, string> | undefined> {
  let text: string;
  try {
    text = await readFile(notesPath(workDirectory), "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
  // An empty file is of a process that died before it changed anything.
  return text === "" ? undefined : (JSON.parse(text) as Record<string, string>);
}
