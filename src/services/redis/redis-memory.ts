import { formatBytes, HoldfastError } from "../../base/index.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { readInfo } from "./redis-server-facts.ts";

/** Below the limit by this much a restore gives up, before the server would evict or refuse anything of the application's. */
const reserveRatio = 0.05;
const freeShare = 1 / 64;

/** Sees to it that staging never makes the server evict live keys or refuse the application's writes. */
export class MemoryWatch {
  readonly #connection: RedisConnection;
  readonly #now: () => number;
  #checkedAt = Number.NEGATIVE_INFINITY;

  /** `connection` is not the one that loads: its questions must not wait behind the load. */
  constructor(connection: RedisConnection, now: () => number) {
    this.#connection = connection;
    this.#now = now;
  }

  /** @throws HoldfastError SERVICE_STAGE_FAILED if `neededBytes` more do not fit */
  async require(neededBytes: number): Promise<void> {
    const { used, limit, what } = await this.#figures();
    if (used + neededBytes <= limit * (1 - reserveRatio)) return;
    throw this.#tooSmall(
      `it uses ${formatBytes(used)} and the backup needs about ${formatBytes(neededBytes)} more, of ${formatBytes(limit)} (${what})`,
      { usedBytes: used, neededBytes, limitBytes: limit },
    );
  }

  /**
   * How many bytes may be sent before the next check. Values arrive packed and may grow many times over, so it is a
   * small share of what is free. A server without maxmemory evicts nothing and is asked at most every 50 ms.
   * @throws HoldfastError SERVICE_STAGE_FAILED when the memory left is nearly used up
   */
  async allowance(): Promise<number> {
    if (this.#now() - this.#checkedAt < 50) return Number.POSITIVE_INFINITY;
    const { used, limit, what } = await this.#figures();
    const free = limit * (1 - reserveRatio) - used;
    if (free <= 0) {
      throw this.#tooSmall(`while loading it came to ${formatBytes(used)} of ${formatBytes(limit)} (${what})`, {
        usedBytes: used,
        limitBytes: limit,
      });
    }
    if (what !== "maxmemory") this.#checkedAt = this.#now();
    return free * freeShare;
  }

  async #figures(): Promise<{ used: number; limit: number; what: string }> {
    const info = await readInfo(this.#connection, "memory");
    const used = Number(info.get("used_memory") ?? 0);
    const maxmemory = Number(info.get("maxmemory") ?? 0);
    const system = Number(info.get("total_system_memory") ?? 0);
    if (maxmemory > 0) return { used, limit: maxmemory, what: "maxmemory" };
    return { used, limit: system > 0 ? system : Number.POSITIVE_INFINITY, what: "the machine's memory" };
  }

  #tooSmall(why: string, facts: Record<string, number>): HoldfastError {
    return new HoldfastError(
      "SERVICE_STAGE_FAILED",
      `Redis at ${this.#connection.address.label} has not enough memory for old and new data: ${why}. Nothing was changed.`,
      {
        facts,
        remedy:
          "Raise maxmemory for the time of the restore (CONFIG SET maxmemory ...), or restore into a larger server.",
      },
    );
  }
}
