import { hostname, userInfo } from "node:os";
import { damaged, parseStoredJson, storedObject } from "../damage.ts";
import type { HexId, LockInfo } from "../repository.ts";
import { goJsonString } from "../tree/go-text.ts";
import { parseGoTime } from "../tree/go-time.ts";

/** Whoever holds a lock writes it anew every 5 minutes; older than this, it was left behind. */
export const staleAfterMs = 30 * 60_000;

/** What a lock file says of its holder. */
export interface LockHolder {
  readonly time: Date;
  readonly exclusive: boolean;
  readonly hostname: string;
  readonly username: string;
  readonly pid: number;
}

/** The JSON of this process's lock, to be stored with `encodeUnpacked`. */
export function encodeOwnLock(time: Date, exclusive: boolean): string {
  const { username, uid, gid } = userInfo();
  let json = `{"time":"${time.toISOString()}","exclusive":${exclusive},"hostname":${goJsonString(hostname())}`;
  json += `,"username":${goJsonString(username)},"pid":${process.pid}`;
  if (uid > 0) json += `,"uid":${uid}`;
  if (gid > 0) json += `,"gid":${gid}`;
  return `${json}}`;
}

/** @throws HoldfastError REPOSITORY_DAMAGED naming the lock */
export function decodeLock(json: Uint8Array, id: HexId): LockHolder {
  const what = `lock ${id}`;
  const stored = storedObject(parseStoredJson(json, what), what);
  const { hostname: host, username, pid } = stored;
  const ns = parseGoTime(stored["time"]);
  if (ns === undefined) throw damaged(`The ${what} has a malformed time.`);
  return {
    time: new Date(Number(ns / 1_000_000n)),
    exclusive: stored["exclusive"] === true,
    hostname: typeof host === "string" ? host : "",
    username: typeof username === "string" ? username : "",
    pid: typeof pid === "number" ? pid : 0,
  };
}

/** "exclusive lock of root@shop1, process 4711, since 2026-11-21T06:00:00.000Z": for messages. */
export function describeLock(lock: LockInfo): string {
  const kind = lock.exclusive ? "exclusive lock" : "lock";
  return `${kind} of ${lock.username}@${lock.hostname}, process ${lock.pid}, since ${lock.time.toISOString()}`;
}
