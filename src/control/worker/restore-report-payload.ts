import type { RestoreReport } from "../../engine/index.ts";
import type { JsonObject } from "../activities/activity.ts";

/** What a restore did, for its activity's payload: clients show it as if they had restored themselves. */
export function restoreReportPayload({ hold, durationMs, components, warnings }: RestoreReport): JsonObject {
  return {
    duration_ms: durationMs,
    hold:
      hold === null
        ? null
        : {
            drain_ms: hold.drainMs,
            held_ms: hold.heldMs,
            requests_held: hold.requestsHeld,
            longest_wait_ms: hold.longestWaitMs,
            requests_failed: hold.requestsFailed,
          },
    components: components.map(({ source, stage, swap }) => ({
      source,
      files: stage.files,
      bytes: stage.bytes,
      reused_bytes: stage.reusedBytes,
      swap_ms: swap?.durationMs ?? null,
      swap_facts: swap === undefined ? null : { ...swap.facts },
    })),
    warnings: warnings.map(({ source, kind, message, facts }) => ({ source, kind, message, facts: { ...facts } })),
  };
}
