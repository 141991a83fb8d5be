/** What a hold did, as the backup or restore records it (spec C4). */
export interface HoldFigures {
  /** From asking for the drain until no request was running. */
  readonly drainMs: number;
  /** From the first request that had to wait (or the end of the drain) until the release. */
  readonly heldMs: number;
  readonly requestsHeld: number;
  /** Longest time that any request waited, drain included. */
  readonly longestWaitMs: number;
  /** Requests that got an error or were dropped because of the hold. */
  readonly requestsFailed: number;
  /** Requests whose client gave up while they waited; no failure of ours. Undefined where it is not known. */
  readonly requestsAbandoned?: number;
}

export interface HoldOptions {
  /** For status output and errors: "backup 7hq2…". */
  readonly owner: string;
  /** Past it the gateway lets go and `hold` throws HOLD_DEADLINE_PASSED. Milliseconds, default of the configuration 15 s. */
  readonly drainTimeoutMs: number;
  /** Past it, counted from the request for the hold, the gateway lets go by itself. Default 30 s. */
  readonly holdTimeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Requests are held now. A lease: it ends at the deadline, at `release`, or when this process dies. */
export interface Hold {
  /** Aborted, with a HoldfastError HOLD_LOST as reason, if the gateway let go before `release`. */
  readonly lost: AbortSignal;
  /**
   * Lets requests go on. Resolves when every held one has been passed on. Idempotent.
   * @throws HoldfastError HOLD_LOST if the hold had ended before: what was frozen may not be of one moment.
   */
  release(): Promise<HoldFigures>;
}

/** The way an environment's HTTP requests come in. */
export interface Gateway {
  /**
   * Drains (running requests finish) and holds (new ones wait). Resolves once nothing runs.
   * If it throws, nothing is held. @throws HoldfastError HOLD_DEADLINE_PASSED, GATEWAY_UNREACHABLE, GATEWAY_BUSY, INTERRUPTED
   */
  hold(options: HoldOptions): Promise<Hold>;

  /** Finds out before any long work that a hold could not be had. @throws HoldfastError GATEWAY_UNREACHABLE */
  assertReachable(): Promise<void>;

  /**
   * Lets go of what a dead owner may have left held; for recovery after a crash. Idempotent; does nothing while a living
   * owner holds. The built-in gateway has let go by itself; a command gateway runs its release command.
   */
  releaseAbandoned(): Promise<void>;
}
