import type { Snapshot } from "../../repository/index.ts";
import { formatCount, formatMoment } from "../output/moment.ts";
import { printable } from "../output/printable.ts";

/** The value of a tag such as "backup:ID". */
export function tagOf({ tags }: Snapshot, name: string): string | undefined {
  return tags.find((tag) => tag.startsWith(`${name}:`))?.slice(name.length + 1);
}

/** "backup ID of main (21 Nov 2026 04:12 UTC)"; of restic's own: "snapshot 1a2b3c4d (...)". */
export function snapshotText(snapshot: Snapshot): string {
  const backup = tagOf(snapshot, "backup");
  const environment = tagOf(snapshot, "environment");
  const name = backup === undefined ? `snapshot ${snapshot.id.slice(0, 8)}` : `backup ${printable(backup)}`;
  const of = environment === undefined ? "" : ` of ${printable(environment)}`;
  return `${name}${of} (${formatMoment(snapshot.time)})`;
}

/** What programs get of a snapshot. */
export function snapshotJson(snapshot: Snapshot): Record<string, unknown> {
  return {
    snapshot: snapshot.id,
    backup: tagOf(snapshot, "backup") ?? null,
    environment: tagOf(snapshot, "environment") ?? null,
    created_at: snapshot.time.toISOString(),
  };
}

/** The lines of a list that may be too long for people, and how many more there are. */
export function boundedLines(lines: readonly string[], total: number, noun: string): string[] {
  const more = total - lines.length;
  return more > 0 ? [...lines, `and ${formatCount(more, `more ${noun}`)}`] : [...lines];
}
