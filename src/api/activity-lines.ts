import type { ProjectId } from "../base/index.ts";
import { type ActivityId, type ActivityStore, hasEnded } from "../control/index.ts";
import type { Operations, Result } from "../contract/index.ts";
import { timestamp } from "./representation/times.ts";

type LogLine = Result<Operations["getActivityLog"]> extends AsyncIterable<infer Line> ? Line : never;

export interface LogRange {
  /** Number of the first line. */
  readonly from: number;
  readonly maxLines: number;
  /** For how long to wait for more in all. */
  readonly maxWaitMs: number;
  readonly signal: AbortSignal;
  /** Asked again and again while the log is followed: whoever may not read it any longer gets no more of it. */
  readonly mayRead: () => Promise<boolean>;
}

/** Lines that are read at once. */
const pieceLength = 500;
/** How often it is asked where nothing is written. */
const accessCheckMs = 5000;

/**
 * An activity's log, and what is added to it while somebody reads. The line after the last one is the seal; without it the
 * reader comes again and goes on after the last line that it has.
 */
export async function* activityLines(
  activities: ActivityStore,
  project: ProjectId,
  id: ActivityId,
  { from, maxLines, maxWaitMs, signal, mayRead }: LogRange,
): AsyncGenerator<LogLine> {
  const changes = new ChangeWaiter(activities, id, signal, maxWaitMs);
  try {
    let next = from;
    for (;;) {
      // Before the log is read: one that has ended gets no more of it.
      const activity = await activities.get(project, id);
      const limit = Math.min(pieceLength, from + maxLines - next);
      const entries = await activities.log(project, id, { from: next, limit });
      for (const { sequence, at, message } of entries) {
        const text = message.endsWith("\n") ? message : `${message}\n`;
        yield { _id: String(sequence), data: { timestamp: timestamp(at), message: text } };
        next = sequence + 1;
      }
      if (entries.length === pieceLength) continue;
      if (activity === undefined || hasEnded(activity)) {
        if (next - from >= maxLines) return;
        const at = activity?.endedAt ?? activity?.updatedAt ?? new Date(0);
        yield { _id: String(next), data: { timestamp: timestamp(at), message: "" }, seal: true };
        return;
      }
      if (next - from >= maxLines || !(await changes.next()) || !(await mayRead())) return;
    }
  } finally {
    changes.close();
  }
}

/** Waits for changes of one activity, but not for long, and misses none between two waits. */
class ChangeWaiter {
  readonly #leave: () => void;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #checks: NodeJS.Timeout;
  readonly #signal: AbortSignal;
  #changed = false;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(activities: ActivityStore, id: ActivityId, signal: AbortSignal, maxWaitMs: number) {
    this.#signal = signal;
    const change = (): void => {
      this.#changed = true;
      this.#wake?.();
    };
    this.#leave = activities.watch((changed) => {
      if (changed === undefined || changed.id === id) change();
    });
    this.#checks = setInterval(change, accessCheckMs);
    this.#ended = signal.aborted;
    signal.addEventListener("abort", this.#end);
    this.#timer = Number.isFinite(maxWaitMs) ? setTimeout(this.#end, maxWaitMs) : undefined;
  }

  /** True after a change, or when one should look again; false when there is no more waiting. */
  async next(): Promise<boolean> {
    while (!this.#changed && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = undefined;
    this.#changed = false;
    return !this.#ended;
  }

  close(): void {
    this.#leave();
    clearInterval(this.#checks);
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#end);
  }

  readonly #end = (): void => {
    this.#ended = true;
    this.#wake?.();
  };
}
