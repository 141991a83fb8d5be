import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError, isHoldfastError, messageOf, throwIfAborted } from "../../base/index.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { describeLock, encodeOwnLock } from "./lock-file.ts";
import { type ListedLock, listLocks } from "./lock-list.ts";

/** Durations in milliseconds. */
export interface LockTiming {
  /** How often the lock is written anew. Default 5 min. */
  readonly refreshMs: number;
  /** How soon a refresh that failed is tried again. Default 30 s. */
  readonly retryMs: number;
  /** Not refreshed for so long, the lock counts as lost: others may take it for stale soon. Default 22.5 min. */
  readonly lostAfterMs: number;
  /** How long `acquireLock` waits for conflicting locks to go. Default 5 s. */
  readonly waitMs: number;
}

const usualTiming: LockTiming = { refreshMs: 300_000, retryMs: 30_000, lostAfterMs: 1_350_000, waitMs: 5000 };

export interface LockOptions {
  readonly exclusive: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Partial<LockTiming>;
}

/** A lock file that is kept fresh until `release`. */
export class RepositoryLock implements AsyncDisposable {
  readonly #files: UnpackedFiles;
  readonly #exclusive: boolean;
  readonly #timing: LockTiming;
  readonly #lost = new AbortController();
  #id: HexId;
  #writtenAt: Date;
  #timer: NodeJS.Timeout | undefined;
  #refreshing: Promise<void> = Promise.resolve();
  #released = false;

  constructor(files: UnpackedFiles, exclusive: boolean, timing: LockTiming, id: HexId, writtenAt: Date) {
    this.#files = files;
    this.#exclusive = exclusive;
    this.#timing = timing;
    this.#id = id;
    this.#writtenAt = writtenAt;
    this.#schedule(timing.refreshMs);
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
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
    const id = await this.#files.save("lock", encodeOwnLock(time, this.#exclusive));
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
 * Takes a shared or exclusive lock. What a killed process of this host left behind is removed; locks older than 30
 * minutes do not count. Waits a little for others to finish.
 * @throws HoldfastError REPOSITORY_LOCKED naming the holder, STORAGE_*, INTERRUPTED
 */
export async function acquireLock(files: UnpackedFiles, options: LockOptions): Promise<RepositoryLock> {
  const timing = { ...usualTiming, ...options.timing };
  const deadline = Date.now() + timing.waitMs;
  for (;;) {
    throwIfAborted(options.signal);
    const rival = (await findRival(files, options.exclusive)) ?? (await tryLock(files, options.exclusive, timing));
    if (rival instanceof RepositoryLock) return rival;
    if (Date.now() >= deadline) throw lockedBy(rival, files.backend.location);
    // Two that found each other's lock must not meet again in step.
    await delay(50 + Math.random() * 200);
  }
}

async function tryLock(
  files: UnpackedFiles,
  exclusive: boolean,
  timing: LockTiming,
): Promise<RepositoryLock | ListedLock> {
  const time = new Date();
  const id = await files.save("lock", encodeOwnLock(time, exclusive));
  let rival: ListedLock | undefined;
  try {
    // Of two that write their locks at the same time, at least one sees the other's here.
    rival = await findRival(files, exclusive, id);
  } catch (error) {
    await files.backend.remove({ type: "lock", name: id });
    throw error;
  }
  if (rival === undefined) return new RepositoryLock(files, exclusive, timing, id, time);
  await files.backend.remove({ type: "lock", name: id });
  return rival;
}

/** Another's lock that forbids ours. */
async function findRival(files: UnpackedFiles, exclusive: boolean, own?: HexId): Promise<ListedLock | undefined> {
  let rival: ListedLock | undefined;
  for (const lock of await listLocks(files)) {
    if (lock.id === own) continue;
    if (lock.abandoned) await files.backend.remove({ type: "lock", name: lock.id });
    else if (!lock.stale && (exclusive || lock.exclusive)) rival ??= lock;
  }
  return rival;
}

function lockedBy(lock: ListedLock, location: string): HoldfastError {
  return new HoldfastError("REPOSITORY_LOCKED", `The repository at ${location} is locked: ${describeLock(lock)}.`, {
    facts: { lock: lock.id, hostname: lock.hostname, pid: lock.pid, exclusive: lock.exclusive },
    remedy: "Wait until that process has finished; if it is long gone, run `holdfast repo:unlock`.",
  });
}
