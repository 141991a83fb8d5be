import { hostname } from "node:os";
import { damaged, parseStoredJson, storedObject } from "../damage.ts";
import type { HexId, LockInfo } from "../repository.ts";
import { goJsonString } from "../tree/go-text.ts";
import { parseGoTime } from "../tree/go-time.ts";
import { processUser } from "../process-user.ts";

/** restic's rule for its locks, which it writes anew every 5 minutes: older than this, one was left behind. */
export const resticStaleAfterMs = 30 * 60_000;

/**
 * What a lock is for. "use": reading or writing snapshots, or with `exclusive` anything that bears no company. "check":
 * looking at every pack of the index, none of which may go meanwhile. "prune": one prune at a time, beside writers.
 * "moment": the instant in which a prune takes packs out of the index.
 */
export const lockWorks = ["use", "check", "prune", "moment"] as const;
export type LockWork = (typeof lockWorks)[number];

/** What only Holdfast's locks say, in a member `holdfast` that restic ignores. */
export interface Lease {
  /** When the lock was first written; `time` is when it was last. */
  readonly since: Date;
  /** Not written anew for so long, its holder is dead or has given up. */
  readonly leaseMs: number;
  readonly work: LockWork;
  /** As of `machineId`. */
  readonly machine: string;
  /** Of the process, in clock ticks since the machine's boot; -1 where the system does not tell. */
  readonly startTicks: number;
}

/** What a lock file says of its holder. */
export interface LockHolder {
  readonly time: Date;
  readonly exclusive: boolean;
  readonly hostname: string;
  readonly username: string;
  readonly pid: number;
  /** Absent for restic's. */
  readonly lease?: Lease;
}

/** The JSON of this process's lock, to be stored with `encodeUnpacked`. */
export function encodeOwnLock(time: Date, exclusive: boolean, lease: Lease): string {
  const { username, uid, gid } = processUser();
  let json = `{"time":"${time.toISOString()}","exclusive":${exclusive},"hostname":${goJsonString(hostname())}`;
  json += `,"username":${goJsonString(username)},"pid":${process.pid}`;
  if (uid > 0) json += `,"uid":${uid}`;
  if (gid > 0) json += `,"gid":${gid}`;
  const { since, ...rest } = lease;
  return `${json},"holdfast":${JSON.stringify({ since: since.toISOString(), ...rest })}}`;
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
    ...(stored["holdfast"] === undefined ? {} : { lease: decodeLease(stored["holdfast"], what) }),
  };
}

const isLockWork = (value: unknown): value is LockWork => lockWorks.some((work) => work === value);

function decodeLease(value: unknown, what: string): Lease {
  const { since, leaseMs, work, machine, startTicks } = storedObject(value, `lease of the ${what}`);
  const ns = parseGoTime(since);
  if (
    ns === undefined ||
    typeof leaseMs !== "number" ||
    !(leaseMs > 0) ||
    !isLockWork(work) ||
    typeof machine !== "string" ||
    typeof startTicks !== "number"
  ) {
    throw damaged(`The ${what} has a malformed lease.`);
  }
  return { since: new Date(Number(ns / 1_000_000n)), leaseMs, work, machine, startTicks };
}

/** "exclusive lock of root@shop1, process 4711, since 2026-11-21T06:00:00.000Z": for messages. */
export function describeLock(lock: LockInfo): string {
  const kind = lock.exclusive ? "exclusive lock" : "lock";
  return `${kind} of ${lock.username}@${lock.hostname}, process ${lock.pid}, since ${lock.time.toISOString()}`;
}
