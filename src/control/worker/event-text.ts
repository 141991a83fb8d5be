import { formatBytes, formatDuration } from "../../base/index.ts";
import type { EngineEvent } from "../../engine/index.ts";

/** What the log of an activity says of an event; undefined for one that is no news. */
export function eventText(event: EngineEvent): string | undefined {
  switch (event.type) {
    case "phase-started":
    case "progress":
      return undefined;
    case "phase-ended":
      return `${event.phase}: done in ${formatDuration(event.durationMs)}`;
    case "held": {
      const { drainMs, heldMs, requestsHeld, longestWaitMs, requestsFailed } = event.figures;
      return (
        `hold: drained in ${formatDuration(drainMs)}, held ${formatDuration(heldMs)}; ${requestsHeld} requests waited ` +
        `(longest ${formatDuration(longestWaitMs)}), ${requestsFailed} failed`
      );
    }
    case "frozen":
      return `${event.source}: fixed in ${formatDuration(event.point.durationMs)}`;
    case "swapped":
      return `${event.source}: exchanged in ${formatDuration(event.report.durationMs)}`;
    case "stored":
      return `${event.source}: ${event.files} files, ${formatBytes(event.bytes)}`;
    case "replaced":
      return `replaced the older backup ${event.backup} of ${event.createdAt.toISOString().replace(/\.\d+Z$/, "Z")}`;
    case "recovered":
      return `recovered an interrupted ${event.operation}: ${event.outcome}`;
    case "warning":
      return `Warning: ${event.source === undefined ? "" : `${event.source}: `}${event.warning.message}`;
  }
}
