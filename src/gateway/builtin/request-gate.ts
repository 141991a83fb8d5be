import type { Clock } from "../../base/index.ts";
import type { HoldFigures } from "../gateway.ts";

/** A request as the gate sees it, from its arrival to its end. */
export interface GatedRequest {
  readonly method: string;
  /** Without the query, which may hold secrets. */
  readonly path: string;
  /** False for requests that a drain does not wait for. */
  readonly drained: boolean;
  /** Memory it takes while it waits. */
  readonly waitingBytes: number;
  /** Passes the request on to the application. Called once. */
  start(): void;
  /** Answers with 503, to come again after so many seconds. Called instead of `start`. */
  refuse(retryAfterSeconds: number): void;
}

/** A request that runs, for status output. */
export interface RunningRequest {
  readonly method: string;
  readonly path: string;
  readonly ageMs: number;
}

export interface GateLimits {
  readonly maxWaitingRequests: number;
  readonly maxWaitingBytes: number;
}

export interface GateHoldOptions {
  readonly owner: string;
  readonly drainTimeoutMs: number;
  readonly holdTimeoutMs: number;
  /** Nothing runs any more. */
  readonly onHeld: (drainMs: number) => void;
  /** The drain took too long; requests go on already. */
  readonly onDrainTimeout: (running: readonly RunningRequest[]) => void;
  /** The hold lasted too long; requests go on already. */
  readonly onHoldTimeout: () => void;
}

/** What the gate does now. `releasing`: held requests go out in order while new ones queue behind them. */
export type GateState = "open" | "draining" | "held" | "releasing";

export interface GateStatus {
  readonly state: GateState;
  readonly owner: string | null;
  readonly runningCount: number;
  /** The longest running first, 20 at most. */
  readonly running: readonly RunningRequest[];
  readonly waitingCount: number;
  readonly waitingBytes: number;
}

/** Lets at least so many requests go out at once after a hold, however few ran before it. */
const smallestRamp = 16;
/** The ramp widens by its first width this often even if no request finishes. */
const rampStepMs = 50;

interface ActiveHold {
  readonly options: GateHoldOptions;
  readonly askedAtMs: number;
  readonly runningBefore: number;
  readonly drainTimer: NodeJS.Timeout;
  readonly holdTimer: NodeJS.Timeout;
  drainedAtMs: number | undefined;
  firstWaitAtMs: number | undefined;
  releasedAtMs: number | undefined;
  requestsHeld: number;
  requestsFailed: number;
  requestsAbandoned: number;
  longestWaitMs: number;
  /** Requests that waited at the release and have not gone out yet. */
  toPassOn: number;
  readonly passedOn: PromiseWithResolvers<HoldFigures>;
}

interface Waiting {
  readonly sinceMs: number;
  /** The hold that keeps it, until it is passed on. */
  hold: ActiveHold | undefined;
}

/**
 * Decides for each request whether it goes on or waits: the drain, the hold with its deadlines, and the ramp after
 * the release. It knows nothing of HTTP.
 */
export class RequestGate {
  readonly #clock: Clock;
  readonly #limits: GateLimits;
  readonly #onClosed: () => void;
  readonly #onOpened: () => void;
  /** When each running request was passed on. */
  readonly #running = new Map<GatedRequest, number>();
  /** In order of arrival. */
  readonly #waiting = new Map<GatedRequest, Waiting>();
  #waitingBytes = 0;
  #runningDrained = 0;
  #hold: ActiveHold | undefined;
  #ramp: { width: number; readonly timer: NodeJS.Timeout } | undefined;
  /** Requests that came from the queue, with the hold that kept them, to count their failures. */
  readonly #heldBefore = new WeakMap<GatedRequest, ActiveHold>();

  /** `onClosed` is called when a drain begins, `onOpened` at the release. */
  constructor(limits: GateLimits, clock: Clock, onClosed: () => void, onOpened: () => void) {
    this.#limits = limits;
    this.#clock = clock;
    this.#onClosed = onClosed;
    this.#onOpened = onOpened;
  }

  /** True from the beginning of a drain to the release. */
  get closed(): boolean {
    return this.#hold !== undefined && this.#hold.releasedAtMs === undefined;
  }

  /** Starts the request, now or after the hold, or refuses it if too many wait. */
  admit(request: GatedRequest): void {
    if (this.#hold === undefined && this.#ramp === undefined) {
      this.#run(request);
      return;
    }
    const nowMs = this.#clock.monotonicMs();
    const hold = this.closed ? this.#hold : undefined;
    if (
      this.#waiting.size >= this.#limits.maxWaitingRequests ||
      this.#waitingBytes + request.waitingBytes > this.#limits.maxWaitingBytes
    ) {
      if (this.#hold !== undefined) this.#hold.requestsFailed += 1;
      const deadlineMs = hold === undefined ? 0 : hold.askedAtMs + hold.options.holdTimeoutMs - nowMs;
      request.refuse(Math.max(1, Math.ceil(deadlineMs / 1000)));
      return;
    }
    this.#waiting.set(request, { sinceMs: nowMs, hold });
    this.#waitingBytes += request.waitingBytes;
    if (hold !== undefined) {
      hold.requestsHeld += 1;
      hold.firstWaitAtMs ??= nowMs;
    }
  }

  /** The client of a request that may be waiting has gone. True if it was waiting. */
  abandon(request: GatedRequest): boolean {
    const waiting = this.#waiting.get(request);
    if (waiting === undefined) return false;
    this.#leaveQueue(request, waiting);
    if (waiting.hold !== undefined) waiting.hold.requestsAbandoned += 1;
    this.#settleRelease();
    return true;
  }

  /** The request has ended: the application has answered, failed or was left. Idempotent. */
  finish(request: GatedRequest): void {
    if (!this.#running.delete(request)) return;
    if (request.drained) this.#runningDrained -= 1;
    if (this.#ramp !== undefined) {
      this.#ramp.width += 1;
      this.#pump();
    }
    this.#settleDrain();
  }

  /** A request that had waited was answered with an error by the gateway. */
  failedAfterHold(request: GatedRequest): void {
    const hold = this.#heldBefore.get(request);
    if (hold !== undefined) hold.requestsFailed += 1;
  }

  /** The owner of the hold that is on, or undefined if one may begin. */
  get owner(): string | undefined {
    return this.#hold?.options.owner;
  }

  /** Begins to drain. The caller has looked at `owner`. */
  hold(options: GateHoldOptions): void {
    if (this.#hold !== undefined) throw new TypeError("The gate is held already.");
    const nowMs = this.#clock.monotonicMs();
    const hold: ActiveHold = {
      options,
      askedAtMs: nowMs,
      runningBefore: this.#running.size,
      drainTimer: setTimeout(() => this.#drainTimedOut(hold), options.drainTimeoutMs),
      holdTimer: setTimeout(() => this.#holdTimedOut(hold), options.holdTimeoutMs),
      drainedAtMs: undefined,
      firstWaitAtMs: undefined,
      releasedAtMs: undefined,
      requestsHeld: 0,
      requestsFailed: 0,
      requestsAbandoned: 0,
      longestWaitMs: 0,
      toPassOn: 0,
      passedOn: Promise.withResolvers<HoldFigures>(),
    };
    this.#hold = hold;
    this.#endRamp();
    // What the ramp of an earlier hold had not passed on yet waits on.
    for (const waiting of this.#waiting.values()) {
      waiting.hold = hold;
      hold.requestsHeld += 1;
      hold.firstWaitAtMs = nowMs;
    }
    this.#onClosed();
    this.#settleDrain();
  }

  /** Lets requests go on. Resolves when each that waited has been passed on. With no hold on, undefined. */
  release(): Promise<HoldFigures> | undefined {
    const hold = this.#hold;
    if (hold === undefined) return undefined;
    this.#open(hold);
    return hold.passedOn.promise;
  }

  status(): GateStatus {
    return {
      state: this.#state(),
      owner: this.owner ?? null,
      runningCount: this.#running.size,
      running: this.#longestRunning(() => true),
      waitingCount: this.#waiting.size,
      waitingBytes: this.#waitingBytes,
    };
  }

  #state(): GateState {
    if (this.closed) return this.#hold?.drainedAtMs === undefined ? "draining" : "held";
    return this.#ramp === undefined ? "open" : "releasing";
  }

  #run(request: GatedRequest): void {
    this.#running.set(request, this.#clock.monotonicMs());
    if (request.drained) this.#runningDrained += 1;
    request.start();
  }

  #longestRunning(which: (request: GatedRequest) => boolean): RunningRequest[] {
    const nowMs = this.#clock.monotonicMs();
    const longest: RunningRequest[] = [];
    // A Map keeps the order of insertion, so that the oldest come first.
    for (const [request, sinceMs] of this.#running) {
      if (longest.length === 20) break;
      if (which(request)) longest.push({ method: request.method, path: request.path, ageMs: nowMs - sinceMs });
    }
    return longest;
  }

  #settleDrain(): void {
    const hold = this.#hold;
    if (!this.closed || hold === undefined || hold.drainedAtMs !== undefined || this.#runningDrained > 0) return;
    clearTimeout(hold.drainTimer);
    hold.drainedAtMs = this.#clock.monotonicMs();
    hold.options.onHeld(hold.drainedAtMs - hold.askedAtMs);
  }

  #drainTimedOut(hold: ActiveHold): void {
    const running = this.#longestRunning((request) => request.drained);
    this.#open(hold);
    hold.options.onDrainTimeout(running);
  }

  #holdTimedOut(hold: ActiveHold): void {
    const running = this.#longestRunning((request) => request.drained);
    const wasDrained = hold.drainedAtMs !== undefined;
    this.#open(hold);
    if (wasDrained) hold.options.onHoldTimeout();
    else hold.options.onDrainTimeout(running);
  }

  #open(hold: ActiveHold): void {
    if (hold.releasedAtMs !== undefined) return;
    hold.releasedAtMs = this.#clock.monotonicMs();
    clearTimeout(hold.drainTimer);
    clearTimeout(hold.holdTimer);
    hold.toPassOn = this.#waiting.size;
    const width = Math.max(smallestRamp, hold.runningBefore);
    const timer = setInterval(() => {
      if (this.#ramp !== undefined) this.#ramp.width += width;
      this.#pump();
    }, rampStepMs);
    this.#ramp = { width, timer };
    this.#onOpened();
    this.#pump();
    this.#settleRelease();
  }

  #pump(): void {
    for (const [request, waiting] of this.#waiting) {
      if (this.#ramp === undefined || this.#running.size >= this.#ramp.width) break;
      this.#leaveQueue(request, waiting);
      if (waiting.hold !== undefined) this.#heldBefore.set(request, waiting.hold);
      this.#run(request);
    }
    if (this.#waiting.size === 0) this.#endRamp();
    this.#settleRelease();
  }

  #endRamp(): void {
    clearInterval(this.#ramp?.timer);
    this.#ramp = undefined;
  }

  #leaveQueue(request: GatedRequest, waiting: Waiting): void {
    this.#waiting.delete(request);
    this.#waitingBytes -= request.waitingBytes;
    const hold = waiting.hold;
    if (hold === undefined) return;
    hold.longestWaitMs = Math.max(hold.longestWaitMs, this.#clock.monotonicMs() - waiting.sinceMs);
    hold.toPassOn -= 1;
  }

  #settleRelease(): void {
    const hold = this.#hold;
    if (hold?.releasedAtMs === undefined || hold.toPassOn > 0) return;
    this.#hold = undefined;
    const drainedAtMs = hold.drainedAtMs ?? hold.releasedAtMs;
    hold.passedOn.resolve({
      drainMs: drainedAtMs - hold.askedAtMs,
      heldMs: hold.releasedAtMs - Math.min(hold.firstWaitAtMs ?? drainedAtMs, drainedAtMs),
      requestsHeld: hold.requestsHeld,
      longestWaitMs: hold.longestWaitMs,
      requestsFailed: hold.requestsFailed,
      requestsAbandoned: hold.requestsAbandoned,
    });
  }
}
