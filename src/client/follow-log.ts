import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../base/index.ts";
import { type ApiClient, isPassing } from "./api-client.ts";

export interface LogLine {
  readonly at: Date;
  readonly message: string;
}

export interface FollowOptions {
  readonly project: string;
  readonly activity: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** For how long the server may be away in one piece. Default 120 s: it may be started anew. */
  readonly patienceMs?: number;
}

/** The server ends a log without news after this, so that one that hangs is told from one that has nothing to say. */
const askAgainSeconds = 20;
const retryAfterMs = 500;

/**
 * An activity's log until its last line, whatever happens to the connection meanwhile: no line is missing and none comes twice.
 * @throws HoldfastError SERVER_UNREACHABLE when the server is away for too long; what it refuses with; INTERRUPTED
 */
export async function* followLog(client: ApiClient, options: FollowOptions): AsyncGenerator<LogLine> {
  const { project, activity, clock, signal, patienceMs = 120_000 } = options;
  let next = 0;
  let heardMs = clock.monotonicMs();
  for (;;) {
    try {
      const query = { start_at: next, max_delay: askAgainSeconds };
      for await (const { _id: id, data, seal } of client.lines("getActivityLog", {
        parameters: { project, activity },
        query,
      })) {
        heardMs = clock.monotonicMs();
        if (seal === true) return;
        next = Number(id) + 1;
        yield { at: new Date(data.timestamp), message: data.message };
      }
      heardMs = clock.monotonicMs();
    } catch (error) {
      if (!isPassing(error) || clock.monotonicMs() - heardMs > patienceMs) throw error;
      await delay(retryAfterMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
