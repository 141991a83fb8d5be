import type { Backup, RestoreReport } from "../../engine/index.ts";

/** How requests were held, as the API and the CLI give it out; null where there was no hold. */
export const holdJson = (hold: Backup["hold"]) =>
  hold && {
    drain_ms: hold.drainMs,
    held_ms: hold.heldMs,
    requests_held: hold.requestsHeld,
    longest_wait_ms: hold.longestWaitMs,
    requests_failed: hold.requestsFailed,
  };

export type RestoreReportJson = ReturnType<typeof restoreReportJson>;

/** What a restore did, for its activity's payload and for scripts: clients show it as if they had restored themselves. */
export function restoreReportJson({ hold, durationMs, components, warnings }: RestoreReport) {
  return {
    duration_ms: durationMs,
    hold: holdJson(hold),
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
