import { setTimeout as delay } from "node:timers/promises";
import { type Clock, throwIfAborted } from "../base/index.ts";
import { type ApiClient, isPassing } from "./api-client.ts";

export interface LogLine {
  readonly at: Date;
  readonly message: string;
}

/** How long to wait for a server that is away. */
export interface Patience {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** In one piece. Default 120 s: it may be started anew. */
  readonly patienceMs?: number;
}

export interface FollowOptions extends Patience {
  readonly project: string;
  readonly activity: string;
}

/** The server ends a log without news after this, so that one that hangs is told from one that has nothing to say. */
const askAgainSeconds = 20;
const retryAfterMs = 500;
const defaultPatienceMs = 120_000;

/** Asks again while the server is away; for what may be asked twice. @throws HoldfastError as `ask`, INTERRUPTED */
export async function patiently<T>(patience: Patience, ask: () => Promise<T>): Promise<T> {
  const { clock, signal, patienceMs = defaultPatienceMs } = patience;
  const sinceMs = clock.monotonicMs();
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isPassing(error) || clock.monotonicMs() - sinceMs > patienceMs) throw error;
      await pause(signal);
    }
  }
}

/**
 * An activity's log until its last line, whatever happens to the connection meanwhile: no line is missing and none comes twice.
 * @throws HoldfastError SERVER_UNREACHABLE when the server is away for too long; what it refuses with; INTERRUPTED
 */
export async function* followLog(client: ApiClient, options: FollowOptions): AsyncGenerator<LogLine> {
  const { project, activity, clock, signal, patienceMs = defaultPatienceMs } = options;
  let next = 0;
  let heardMs = clock.monotonicMs();
  for (;;) {
    try {
      const call = { parameters: { project, activity }, query: { start_at: next, max_delay: askAgainSeconds } };
      for await (const { _id: id, data, seal } of client.lines("getActivityLog", call)) {
        heardMs = clock.monotonicMs();
        if (seal === true) return;
        next = Number(id) + 1;
        yield { at: new Date(data.timestamp), message: data.message };
      }
      heardMs = clock.monotonicMs();
    } catch (error) {
      if (!isPassing(error) || clock.monotonicMs() - heardMs > patienceMs) throw error;
      await pause(signal);
    }
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  await delay(retryAfterMs, undefined, { signal }).catch(() => throwIfAborted(signal));
}
