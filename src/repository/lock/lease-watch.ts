import type { HexId } from "../repository.ts";
import type { ListedLock } from "./lock-list.ts";

/**
 * Tells by looking again and again whether the holder of a lease is alive: it writes a new file, with a new name, well
 * within the lease. So it does not matter what the clocks of the two machines say.
 */
export class LeaseWatch {
  readonly #firstSeen = new Map<HexId, number>();

  /** Whether this very file has been there for the whole lease. To be asked at each look. */
  isOver(lock: ListedLock): boolean {
    if (lock.lease === undefined) return false;
    const now = performance.now();
    const seen = this.#firstSeen.get(lock.id);
    if (seen === undefined) this.#firstSeen.set(lock.id, now);
    return seen !== undefined && now - seen > lock.lease.leaseMs;
  }

  /** Whether it is worth to wait and see: by the clocks, the lease is over. */
  looksDead({ time, lease }: ListedLock): boolean {
    return lease !== undefined && Date.now() - time.getTime() > lease.leaseMs;
  }
}
