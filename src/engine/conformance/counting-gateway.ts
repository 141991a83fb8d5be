import { HoldfastError } from "../../base/index.ts";
import type { Gateway, Hold, HoldFigures } from "../../gateway/index.ts";

/** What every hold of a `CountingGateway` says. */
export const figures: HoldFigures = { drainMs: 1, heldMs: 2, requestsHeld: 3, longestWaitMs: 4, requestsFailed: 0 };

/** A gateway that counts; `lose` ends the hold from its side. */
export class CountingGateway implements Gateway {
  holds = 0;
  releases = 0;
  #lost = new AbortController();

  get held(): boolean {
    return this.holds > this.releases;
  }

  lose(): void {
    this.#lost.abort(new HoldfastError("HOLD_LOST", "The gateway let go."));
  }

  async hold(): Promise<Hold> {
    this.holds += 1;
    const lost = (this.#lost = new AbortController());
    let released = false;
    return {
      lost: lost.signal,
      release: async () => {
        if (!released) this.releases += 1;
        released = true;
        if (lost.signal.aborted) throw lost.signal.reason;
        return figures;
      },
    };
  }

  reachable = true;

  async assertReachable(): Promise<void> {
    if (!this.reachable) throw new HoldfastError("GATEWAY_UNREACHABLE", "planted");
  }

  async releaseAbandoned(): Promise<void> {}
}
