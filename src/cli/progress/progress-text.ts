import { formatBytes, formatDuration, type SourceId } from "../../base/index.ts";
import type { EngineEvent } from "../../engine/index.ts";
import type { HoldFigures } from "../../gateway/index.ts";
import { formatCount } from "../output/moment.ts";

type EventOf<T extends EngineEvent["type"]> = Extract<EngineEvent, { readonly type: T }>;

/** "media" of "mount:app/media", "db" of "service:db", "code" of "code:app". */
export function shortSourceName(source: SourceId): string {
  if (source.startsWith("code:")) return "code";
  return source.slice(Math.max(source.lastIndexOf("/"), source.indexOf(":")) + 1);
}

/** "drained in 38 ms, held 212 ms: 31 requests waited (longest 214 ms), 0 failed". */
export function holdText(figures: HoldFigures): string {
  const longest = figures.requestsHeld > 0 ? ` (longest ${formatDuration(figures.longestWaitMs)})` : "";
  return (
    `drained in ${formatDuration(figures.drainMs)}, held ${formatDuration(figures.heldMs)}: ` +
    `${formatCount(figures.requestsHeld, "request")} waited${longest}, ${figures.requestsFailed} failed`
  );
}

/** "media 140 ms (17 files changed meanwhile)". */
export function frozenText(event: EventOf<"frozen">): string {
  const changed = event.point.facts["filesChanged"];
  const note = typeof changed === "number" && changed > 0 ? ` (${formatCount(changed, "file")} changed meanwhile)` : "";
  return `${shortSourceName(event.source)} ${formatDuration(event.point.durationMs)}${note}`;
}

export function swappedText(event: EventOf<"swapped">): string {
  return `${shortSourceName(event.source)} ${formatDuration(event.report.durationMs)}`;
}

export function storedText(event: EventOf<"stored">): string {
  return `${shortSourceName(event.source)} ${formatBytes(event.bytes)}`;
}

/** "48,213 files  1.9 GB", leaving out what is zero. */
export function amountText(files: number, bytes: number): string {
  const parts: string[] = [];
  if (files > 0) parts.push(formatCount(files, "file"));
  if (bytes > 0) parts.push(formatBytes(bytes));
  return parts.join("  ");
}

/** Share done, 0 to 1; undefined where what is to come is not known. */
export function doneRatio(event: EventOf<"progress">): number | undefined {
  if (event.expectedBytes !== undefined && event.expectedBytes > 0) {
    return Math.min(1, event.bytes / event.expectedBytes);
  }
  if (event.expectedFiles !== undefined && event.expectedFiles > 0) {
    return Math.min(1, event.files / event.expectedFiles);
  }
  return undefined;
}

/** "412 MB/s"; "" before anything can be said. */
export function rateText(bytes: number, elapsedMs: number): string {
  return bytes > 0 && elapsedMs >= 500 ? `${formatBytes((bytes / elapsedMs) * 1000)}/s` : "";
}

/** "about 12 s left"; "" before anything can be said. */
export function remainingText(ratio: number | undefined, elapsedMs: number): string {
  if (ratio === undefined || ratio < 0.02 || ratio >= 1 || elapsedMs < 2000) return "";
  return `about ${formatDuration(Math.max(1000, (elapsedMs / ratio) * (1 - ratio)))} left`;
}
