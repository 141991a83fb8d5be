import path from "node:path";
import { formatBytes, formatDuration } from "../../../src/base/index.ts";
import type { CheckReport } from "../checker.ts";
import type { Site } from "../site.ts";
import type { TrafficReport } from "../traffic.ts";

/** `holdfast ... --format json` on a hold. */
export interface HoldFigures {
  readonly drain_ms: number;
  readonly held_ms: number;
  readonly requests_held: number;
  readonly longest_wait_ms: number;
  readonly requests_failed: number;
}

/** `holdfast backup:create --format json`, as far as the page needs it. */
export interface BackupFigures {
  readonly id: string;
  readonly hold: HoldFigures | null;
  readonly skew_ms: number;
  readonly duration_ms: number;
  readonly size_of_volumes: number;
  readonly data_added_packed: number;
  readonly components: readonly {
    readonly source: string;
    readonly kind: string;
    readonly bytes: number;
    readonly freeze_ms: number;
    readonly frozen_at: string;
  }[];
}

/** `holdfast backup:restore --format json`, as far as the page needs it. */
export interface RestoreFigures {
  readonly hold: HoldFigures | null;
  readonly duration_ms: number;
}

export interface PageFacts {
  readonly site: Site;
  readonly safe: BackupFigures;
  readonly live: BackupFigures;
  /** Customers while the backups were taken. */
  readonly before: TrafficReport;
  /** The checker's word after the disaster. */
  readonly ruined: CheckReport;
  readonly restore: RestoreFigures;
  /** Customers while it was restored. */
  readonly customers: TrafficReport;
  /** The checker's word after the restore. */
  readonly restored: CheckReport;
  readonly restic: string | undefined;
}

const heading = (text: string): string => `\n${text}\n${"-".repeat(text.length)}`;

function holdLine(hold: HoldFigures | null): string {
  if (hold === null) return "no request waited";
  return (
    `running requests finished in ${formatDuration(hold.drain_ms)}, new ones were held for ${formatDuration(hold.held_ms)}: ` +
    `${hold.requests_held} waited (longest ${formatDuration(hold.longest_wait_ms)}), ${hold.requests_failed} failed`
  );
}

/** What happened, for somebody who sees Holdfast for the first time. */
export function page(facts: PageFacts): string {
  const { site, safe, live, before, ruined, restore, customers, restored } = facts;
  const there = restored.acknowledgedChecked - restored.lostCount;
  return [
    heading("What happened"),
    "A print shop ran on this machine. Each order is one request that writes to four places:",
    ...site.services.found.map((line) => `  ${line}`),
    "  uploads: files, in a mount of the application",
    "",
    `1. Customers sent ${before.requests} requests through Holdfast's gateway; ${before.acknowledged} orders were taken, ${before.failed} requests failed.`,
    "",
    `2. A safe backup (${safe.id}), all four places at one moment:`,
    `   ${holdLine(safe.hold)}.`,
    ...safe.components.map(
      (one) => `     ${one.source.padEnd(18)} ${formatBytes(one.bytes).padStart(8)}   fixed in ${formatDuration(one.freeze_ms)}`,
    ),
    `   ${formatBytes(safe.size_of_volumes)} in ${formatDuration(safe.duration_ms)}, stored encrypted as ${formatBytes(safe.data_added_packed)}.`,
    "",
    `3. A live backup (${live.id}): no request waited; the places differ by up to ${formatDuration(live.skew_ms)}.`,
    `   Only what was new was stored: ${formatBytes(live.data_added_packed)} of ${formatBytes(live.size_of_volumes)}.`,
    "",
    `4. A disaster: ${ruined.lostCount} of the ${ruined.acknowledgedChecked} orders taken before the safe backup were gone.`,
    "",
    `5. The safe backup was restored in ${formatDuration(restore.duration_ms)}, with customers in the shop:`,
    `   ${holdLine(restore.hold)}.`,
    `   They sent ${customers.requests} requests meanwhile; ${customers.failed} failed, the slowest took ${formatDuration(customers.longestMs)}.`,
    "",
    `6. The checker compared all four places: ${restored.agrees ? "they agree" : `THEY DO NOT AGREE (${restored.faultCount} faults)`}, ` +
      `and ${there} of ${restored.acknowledgedChecked} orders from before the backup are there.`,
    facts.restic === undefined
      ? "7. restic is not installed; it could read this repository, too."
      : `7. Stock restic, reading every byte of the repository: ${facts.restic}.`,
    heading("Look around"),
    `  cd ${path.relative(process.cwd(), site.folder) || "."}`,
    "  npx holdfast backup:list",
    "  npx holdfast backup:get",
    "  npx holdfast backup:files",
    "  restic -r repository --password-file repository.key snapshots",
    heading("Your own application"),
    "Write a holdfast.yaml: where its databases, folders and HTTP port are.",
    "",
    ...[
      "version: 1",
      "state: ./state",
      "projects:",
      "  shop:",
      "    repository:",
      "      passwordFile: ./repository.key",
      "      replicas: [{ name: disk, type: local, path: ./repository }]",
      "    environments:",
      "      main:",
      "        type: production",
      "        gateway: { type: builtin, listen: 127.0.0.1:8080, upstream: http://127.0.0.1:3000 }",
      "        applications: { app: { code: /srv/shop, mounts: { media: /srv/shop/public/media } } }",
      "        services:",
      '          db: { type: postgresql, url: "postgresql://shop:${DB_PASSWORD}@127.0.0.1:5432/shop" }',
    ].map((line) => `  ${line}`),
    "",
    "Then: holdfast init; holdfast gateway (in front of the application); holdfast backup:create.",
  ].join("\n");
}
