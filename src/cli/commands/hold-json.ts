import type { Backup } from "../../engine/index.ts";

/** A hold as the CLI prints it with `--json`; null where there was none. */
export function holdJson(hold: Backup["hold"]): Record<string, number> | null {
  if (hold === null) return null;
  return {
    drain_ms: hold.drainMs,
    held_ms: hold.heldMs,
    requests_held: hold.requestsHeld,
    longest_wait_ms: hold.longestWaitMs,
    requests_failed: hold.requestsFailed,
  };
}
