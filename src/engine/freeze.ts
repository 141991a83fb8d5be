import { HoldfastError, isHoldfastError, type SourceId } from "../base/index.ts";
import type { FreezePoint, Source } from "../component/index.ts";
import type { Hold, HoldFigures } from "../gateway/index.ts";
import type { EngineContext, Environment } from "./environment.ts";

export type FreezePoints = ReadonlyMap<SourceId, FreezePoint>;

/** Left between the last freeze or swap and the hold's own deadline, for the release to be in time. */
const releaseMarginMs = 500;

/** With no hold to bound it. */
const liveFreezeDeadlineMs = 60_000;

/** Milliseconds that what runs inside the hold may take, given when the hold was asked for. */
export function insideHoldDeadlineMs(context: EngineContext, environment: Environment, askedAtMs: number): number {
  const left = environment.holdTimeoutMs - (context.clock.monotonicMs() - askedAtMs) - releaseMarginMs;
  return Math.max(1, left);
}

/**
 * Runs `inside` while the environment's requests are held; always releases. If the gateway lets go meanwhile, or the
 * operation is cancelled, the result of `inside` is thrown away once it has ended, and the reason is thrown.
 * @throws HoldfastError HOLD_LOST, HOLD_DEADLINE_PASSED, GATEWAY_*, INTERRUPTED, and what `inside` throws
 */
export async function whileHeld<T>(
  context: EngineContext,
  environment: Environment,
  owner: string,
  inside: (deadlineMs: number, hold: Hold) => Promise<T>,
): Promise<{ readonly value: T; readonly figures: HoldFigures }> {
  const { gateway } = environment;
  if (gateway === undefined) throw new TypeError(`${environment.id} has no gateway to hold.`);
  const askedAtMs = context.clock.monotonicMs();
  const hold = await gateway.hold({
    owner,
    drainTimeoutMs: environment.drainTimeoutMs,
    holdTimeoutMs: environment.holdTimeoutMs,
    signal: context.signal,
  });
  let value: T;
  try {
    value = await inside(insideHoldDeadlineMs(context, environment, askedAtMs), hold);
  } catch (error) {
    await releaseAfterFailure(hold, error);
    throw error;
  }
  const figures = await hold.release();
  context.onEvent({ type: "held", figures });
  return { value, figures };
}

/** The failure inside the hold is the one to report; that the hold was lost as well adds nothing to it. */
async function releaseAfterFailure(hold: Hold, failure: unknown): Promise<void> {
  try {
    await hold.release();
  } catch (error) {
    if (!isHoldfastError(error)) {
      throw new AggregateError([failure, error], "The release failed after a failure.", { cause: error });
    }
  }
}

/** Freezes all sources beside each other under one deadline. @throws HoldfastError FREEZE_FAILED and others, HOLD_LOST */
export async function freezeAll(
  context: EngineContext,
  sources: readonly Source[],
  deadlineMs: number,
  hold: Hold | undefined,
): Promise<FreezePoints> {
  const points = new Map<SourceId, FreezePoint>();
  const freezing = Promise.all(
    sources.map(async (source) => {
      const point = await source.freeze(deadlineMs);
      points.set(source.id, point);
      context.onEvent({ type: "frozen", source: source.id, point });
    }),
  );
  const slow = (): HoldfastError => {
    const missing = sources.filter(({ id }) => !points.has(id)).map(({ id }) => id);
    return new HoldfastError(
      "FREEZE_FAILED",
      `No freeze point within ${Math.round(deadlineMs)} ms: ${missing.join(", ")}. Requests go on; nothing was stored.`,
      {
        facts: { missing: missing.join(", "), deadlineMs: Math.round(deadlineMs) },
        remedy: "Find what keeps the component busy (a long query, a large change), or take a live backup with --live.",
      },
    );
  };
  await raceAgainst(freezing, deadlineMs, slow, hold === undefined ? [context.signal] : [hold.lost, context.signal]);
  return points;
}

export { liveFreezeDeadlineMs };

/** `work`, unless the deadline passes or a signal is aborted first: then its reason. */
async function raceAgainst<T>(
  work: Promise<T>,
  deadlineMs: number,
  onDeadline: () => HoldfastError,
  signals: readonly AbortSignal[],
): Promise<T> {
  const signal = AbortSignal.any([...signals]);
  // The loser of the race may still fail later, when its source is disposed of; that is then no news.
  work.catch(() => undefined);
  let stop: (() => void) | undefined;
  const cut = new Promise<never>((_resolve, reject) => {
    const timer = setTimeout(() => reject(onDeadline()), deadlineMs);
    const onAbort = (): void =>
      reject(
        signal.reason instanceof HoldfastError
          ? signal.reason
          : new HoldfastError("INTERRUPTED", "The operation was interrupted.", { cause: signal.reason }),
      );
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    stop = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
  });
  try {
    return await Promise.race([work, cut]);
  } finally {
    stop?.();
  }
}
