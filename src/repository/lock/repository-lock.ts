import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError, isHoldfastError, messageOf, throwIfAborted } from "../../base/index.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { describeLock, encodeOwnLock, type Lease, type LockWork } from "./lock-file.ts";
import { LeaseWatch } from "./lease-watch.ts";
import { type ListedLock, listLocks } from "./lock-list.ts";
import { machineId, processStartTicks } from "./process-alive.ts";

/** Durations in milliseconds. */
export interface LockTiming {
  /** How often the lock is written anew. Default 45 s. */
  readonly refreshMs: number;
  /** How soon a refresh that failed is tried again. Default 10 s. */
  readonly retryMs: number;
  /** Not refreshed for so long, the lock counts as lost: others may take it for stale soon. Default 4 min. */
  readonly lostAfterMs: number;
  /** Not refreshed for so long, others take the holder for dead. Default 5 min. */
  readonly leaseMs: number;
  /** How long `acquireLock` waits for conflicting locks to go. Default 5 s. */
  readonly waitMs: number;
}

const usualTiming: LockTiming = {
  refreshMs: 45_000,
  retryMs: 10_000,
  lostAfterMs: 240_000,
  leaseMs: 300_000,
  waitMs: 5000,
};

/** How long before the end of a wait for a lease its last look may come. */
const leaseSlackMs = 1000;

export interface LockOptions {
  readonly exclusive: boolean;
  /** Default "use". */
  readonly work?: LockWork;
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Partial<LockTiming>;
}

/** What a lock's file says, but for the time. */
interface LockClaim {
  readonly exclusive: boolean;
  readonly lease: Lease;
}

/** A lock file that is kept fresh until `release`. */
export class RepositoryLock {
  readonly #files: UnpackedFiles;
  readonly #claim: LockClaim;
  readonly #timing: LockTiming;
  readonly #lost = new AbortController();
  #id: HexId;
  #writtenAt: Date;
  #timer: NodeJS.Timeout | undefined;
  #refreshing: Promise<void> = Promise.resolve();
  #released = false;

  constructor(files: UnpackedFiles, claim: LockClaim, timing: LockTiming, id: HexId) {
    this.#files = files;
    this.#claim = claim;
    this.#timing = timing;
    this.#id = id;
    this.#writtenAt = claim.lease.since;
    this.#schedule(timing.refreshMs);
  }

  /** Name of the file that it is at the moment. */
  get id(): HexId {
    return this.#id;
  }

  /**
   * For the instant before something that only a holder may do: after a suspend, work can go on before the timer that
   * would tell. @throws HoldfastError REPOSITORY_LOCKED if the lock is lost
   */
  confirm(): void {
    if (this.#expired() && !this.signal.aborted) this.#lose("it could not be refreshed in time");
    throwIfAborted(this.signal);
  }

  /** Aborted with REPOSITORY_LOCKED when the lock is lost: all work under it must stop at once. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Removes the lock. Idempotent. @throws HoldfastError STORAGE_* */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    clearTimeout(this.#timer);
    await this.#refreshing;
    await this.#files.backend.remove({ type: "lock", name: this.#id });
  }

  #schedule(afterMs: number): void {
    // A lock alone is no reason to keep the process alive.
    this.#timer = setTimeout(() => {
      this.#refreshing = this.#refresh();
    }, afterMs).unref();
  }

  async #refresh(): Promise<void> {
    // After a suspend the timer comes late, and others may have taken the lock for stale.
    if (this.#expired()) {
      this.#lose("it could not be refreshed in time");
      return;
    }
    try {
      await this.#writeAnew();
      if (!this.#released && !this.signal.aborted) this.#schedule(this.#timing.refreshMs);
    } catch (error) {
      if (isHoldfastError(error, "STORAGE_NOT_FOUND")) this.#lose("somebody removed it");
      else if (this.#expired()) this.#lose(`it could not be refreshed: ${messageOf(error)}`);
      else if (!this.#released) this.#schedule(this.#timing.retryMs);
    }
  }

  async #writeAnew(): Promise<void> {
    const { backend } = this.#files;
    await backend.stat({ type: "lock", name: this.#id });
    const time = new Date();
    const id = await this.#files.save("lock", encodeOwnLock(time, this.#claim.exclusive, this.#claim.lease));
    const old = this.#id;
    this.#id = id;
    this.#writtenAt = time;
    await backend.remove({ type: "lock", name: old });
  }

  #expired(): boolean {
    return Date.now() - this.#writtenAt.getTime() > this.#timing.lostAfterMs;
  }

  #lose(why: string): void {
    this.#lost.abort(
      new HoldfastError("REPOSITORY_LOCKED", `The lock on ${this.#files.backend.location} was lost: ${why}.`, {
        remedy: "Run the command again.",
      }),
    );
  }
}

/**
 * Takes a shared or exclusive lock. What a killed process of this machine left behind is removed; what is stale does not
 * count. Waits a little for others to finish, and so long as it takes to see that a lease runs out: then its lock goes.
 * @throws HoldfastError REPOSITORY_LOCKED naming the holder, STORAGE_*, INTERRUPTED
 */
export async function acquireLock(files: UnpackedFiles, options: LockOptions): Promise<RepositoryLock> {
  const timing = { ...usualTiming, ...options.timing };
  const started = performance.now();
  const watch = new LeaseWatch();
  const seeker = { exclusive: options.exclusive, work: options.work ?? "use" };
  for (;;) {
    throwIfAborted(options.signal);
    const rival = (await findRival(files, seeker, watch)) ?? (await tryLock(files, seeker, timing, watch));
    if (rival instanceof RepositoryLock) return rival;
    const waitMs = watch.looksDead(rival) ? (rival.lease?.leaseMs ?? 0) + leaseSlackMs : timing.waitMs;
    if (performance.now() - started >= waitMs) throw lockedBy(rival, files.backend.location);
    // Two that found each other's lock must not meet again in step.
    await delay(50 + Math.random() * 200);
  }
}

interface LockSeeker {
  readonly exclusive: boolean;
  readonly work: LockWork;
}

async function tryLock(
  files: UnpackedFiles,
  seeker: LockSeeker,
  timing: LockTiming,
  watch: LeaseWatch,
): Promise<RepositoryLock | ListedLock> {
  const { exclusive, work } = seeker;
  const [machine, startTicks = -1] = await Promise.all([machineId(), processStartTicks(process.pid)]);
  const since = new Date();
  const lease: Lease = { since, leaseMs: timing.leaseMs, work, machine, startTicks };
  const id = await files.save("lock", encodeOwnLock(since, exclusive, lease));
  let rival: ListedLock | undefined;
  try {
    // Of two that write their locks at the same time, at least one sees the other's here.
    rival = await findRival(files, seeker, watch, id);
  } catch (error) {
    await files.backend.remove({ type: "lock", name: id });
    throw error;
  }
  if (rival === undefined) return new RepositoryLock(files, { exclusive, lease }, timing, id);
  await files.backend.remove({ type: "lock", name: id });
  return rival;
}

/** Another's lock that forbids ours. */
async function findRival(
  files: UnpackedFiles,
  seeker: LockSeeker,
  watch: LeaseWatch,
  own?: HexId,
): Promise<ListedLock | undefined> {
  let rival: ListedLock | undefined;
  for (const lock of await listLocks(files)) {
    if (lock.id === own) continue;
    if (lock.abandoned || watch.isOver(lock)) await files.backend.remove({ type: "lock", name: lock.id });
    else if (!lock.stale && conflicts(seeker, lock)) rival ??= lock;
  }
  return rival;
}

function conflicts(seeker: LockSeeker, other: ListedLock): boolean {
  const otherWork = other.lease?.work;
  // Who takes packs out of the index looks itself which of Holdfast's processes may know them; restic's cannot say.
  if (seeker.work === "moment") return other.lease === undefined || (other.exclusive && otherWork !== "moment");
  if (seeker.exclusive) return true;
  if (otherWork === "moment") return seeker.work === "check";
  return other.exclusive || (seeker.work === "prune" && otherWork === "prune");
}

function lockedBy(lock: ListedLock, location: string): HoldfastError {
  return new HoldfastError("REPOSITORY_LOCKED", `The repository at ${location} is locked: ${describeLock(lock)}.`, {
    facts: { lock: lock.id, hostname: lock.hostname, pid: lock.pid, exclusive: lock.exclusive },
    remedy: "Wait until that process has finished; if it is long gone, run `holdfast repo:unlock`.",
  });
}
