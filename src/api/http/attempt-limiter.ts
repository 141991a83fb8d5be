import { type Clock, HoldfastError, isHoldfastError } from "../../base/index.ts";

interface Bucket {
  /** Attempts that are left. */
  tokens: number;
  /** When that was so, by the monotonic clock. */
  atMs: number;
}

export interface AttemptLimit {
  /** How many failures in a row. */
  readonly burst: number;
  /** After how long one more is allowed. */
  readonly refillMs: number;
}

/** So that somebody with many addresses fills no memory. */
const mostKeys = 10_000;

/** Bounds how often signing in may fail, for each key (an address, an account). What succeeds costs nothing. */
export class AttemptLimiter {
  readonly #clock: Clock;
  readonly #limit: AttemptLimit;
  /** In the order of the last attempt. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, limit: AttemptLimit) {
    this.#clock = clock;
    this.#limit = limit;
  }

  /**
   * Runs an attempt that costs something, and so not once too many have failed: the right ones wait, too.
   * @throws HoldfastError TOO_MANY_REQUESTS with the fact `retryAfterSeconds`; what the attempt throws
   */
  async run<T>(key: string, attempt: () => Promise<T>): Promise<T> {
    // Taken before, so that many at once are not more than as many one after the other.
    this.#take(key);
    try {
      const result = await attempt();
      this.#giveBack(key);
      return result;
    } catch (error) {
      if (!isHoldfastError(error, "SIGN_IN_FAILED")) this.#giveBack(key);
      throw error;
    }
  }

  /**
   * Runs an attempt that costs next to nothing and cannot be guessed: it is always made, and only a failure is told that there
   * were too many. @throws HoldfastError TOO_MANY_REQUESTS; what the attempt throws
   */
  async runFirst<T>(key: string, attempt: () => Promise<T>): Promise<T> {
    try {
      return await attempt();
    } catch (error) {
      if (isHoldfastError(error, "SIGN_IN_FAILED")) this.#take(key);
      throw error;
    }
  }

  #giveBack(key: string): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.tokens = Math.min(bucket.tokens + 1, this.#limit.burst);
  }

  #take(key: string): void {
    const { burst, refillMs } = this.#limit;
    const nowMs = this.#clock.monotonicMs();
    const before = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs };
    const tokens = Math.min(burst, before.tokens + (nowMs - before.atMs) / refillMs);
    if (tokens < 1) {
      const seconds = Math.ceil(((1 - tokens) * refillMs) / 1000);
      throw new HoldfastError("TOO_MANY_REQUESTS", "Too many attempts to sign in have failed.", {
        facts: { retryAfterSeconds: seconds },
        remedy: `Try again in ${seconds} s.`,
      });
    }
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: tokens - 1, atMs: nowMs });
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > mostKeys && oldest !== undefined) this.#buckets.delete(oldest);
  }
}
