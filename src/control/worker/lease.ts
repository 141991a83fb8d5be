import { type Clock, HoldfastError, isHoldfastError, type Logger, messageOf } from "../../base/index.ts";
import type { ActivityQueue, Claim } from "../activities/activity-queue.ts";

export interface LeaseOptions {
  readonly queue: ActivityQueue;
  readonly claim: Claim;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Holds a claim while its activity runs: renews it three times as often as it must, and aborts `signal` when somebody wants
 * the activity stopped, or when the lease is lost or cannot be renewed in time, so that a successor finds nobody at work.
 */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #abort = new AbortController();
  readonly #lostAbort = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #renewing: Promise<void> | undefined;
  #released = false;

  /** `claimedAtMs`: by the monotonic clock, before the claim was made. */
  constructor(options: LeaseOptions, claimedAtMs: number) {
    this.#options = options;
    this.#holdUntil(claimedAtMs + options.leaseMs);
    this.#timer = setInterval(() => this.renew(), options.leaseMs / 3);
    if (options.claim.activity.cancelRequestedAt !== null) this.#cancel();
  }

  /** Aborted when the activity is to stop, for whatever reason. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Aborted once somebody else may have the activity. */
  get lost(): AbortSignal {
    return this.#lostAbort.signal;
  }

  /** Now, and not only when it is due: somebody may want the activity stopped. */
  renew(): void {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
  }

  async #renew(): Promise<void> {
    const { queue, claim, leaseMs, clock, log } = this.#options;
    const askedAtMs = clock.monotonicMs();
    try {
      const { cancelRequested } = await queue.renew(claim, leaseMs);
      this.#holdUntil(askedAtMs + leaseMs);
      if (cancelRequested) this.#cancel();
    } catch (error) {
      if (isHoldfastError(error, "LEASE_LOST")) this.#lose(error);
      // The deadline stands; until then the catalog may be back.
      else log.warn("A lease could not be renewed", { activity: claim.activity.id, reason: messageOf(error) });
    }
  }

  #holdUntil(deadlineMs: number): void {
    clearTimeout(this.#deadline);
    if (this.#released) return;
    const { clock, claim } = this.#options;
    this.#deadline = setTimeout(
      () => {
        this.#lose(
          new HoldfastError(
            "LEASE_LOST",
            `The lease of the activity ${claim.activity.id} could not be renewed in time; another worker may have it.`,
            { facts: { activity: claim.activity.id } },
          ),
        );
      },
      Math.max(0, deadlineMs - clock.monotonicMs()),
    );
  }

  #cancel(): void {
    this.abort(new HoldfastError("INTERRUPTED", "The activity was cancelled. What was begun has been undone."));
  }

  #lose(reason: HoldfastError): void {
    if (this.#released) return;
    this.#lostAbort.abort(reason);
    this.abort(reason);
  }

  /** Stops what the activity does. The first reason counts. */
  abort(reason: HoldfastError): void {
    if (!this.#abort.signal.aborted) this.#abort.abort(reason);
  }

  /** Renews it no longer. */
  async release(): Promise<void> {
    this.#released = true;
    clearInterval(this.#timer);
    clearTimeout(this.#deadline);
    await this.#renewing;
  }
}
