import { setTimeout as delay } from "node:timers/promises";
import { type Logger, messageOf } from "../../base/index.ts";
import type { ActivityStore } from "../activities/activity-store.ts";

export interface RemoveOldOptions {
  readonly activities: Pick<ActivityStore, "removeEnded">;
  /** How long an activity is kept after its end. */
  readonly keepMs: number;
  readonly log: Logger;
  /** How often to look. Default one hour. */
  readonly everyMs?: number;
  /** How many are removed in one transaction. Default 500. */
  readonly batch?: number;
}

/** Between two batches, for others who want to write. */
const pauseMs = 100;

/** Removes activities that ended long ago, now and again and again, until the signal. Never rejects. */
export async function removeOldActivities(
  { activities, keepMs, log, everyMs = 3_600_000, batch = 500 }: RemoveOldOptions,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let removed = 0;
    try {
      for (;;) {
        const count = await activities.removeEnded({ keepMs, limit: batch });
        removed += count;
        if (count < batch || signal.aborted) break;
        await paused(pauseMs, signal);
      }
    } catch (error) {
      log.warn("Old activities could not be removed; it is tried again", { reason: messageOf(error) });
    }
    if (removed > 0) log.info("Old activities were removed", { activities: removed });
    await paused(everyMs, signal);
  }
}

/** Waits, but not past the signal. */
async function paused(durationMs: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(durationMs, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
