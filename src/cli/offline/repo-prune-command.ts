import { type Command, InvalidArgumentError, Option } from "commander";
import { formatBytes, parseDurationMs } from "../../base/index.ts";
import type { PackGroup, PruneFigures, PruneReport, UnusedLimit } from "../../repository/index.ts";
import { formatCount } from "../output/moment.ts";
import { printable } from "../output/printable.ts";
import { type Column, renderTable } from "../output/table.ts";
import { TaskProgress } from "../progress/task-progress.ts";
import type { RunCommand } from "../run-command.ts";
import { type Invocation, say, Session } from "./session.ts";

interface PruneCommandOptions {
  readonly dryRun: boolean;
  readonly maxUnused: UnusedLimit;
  readonly safetyTime: number;
  readonly format?: "table" | "json";
}

export function registerRepoPrune(program: Command, run: RunCommand): void {
  program
    .command("repo:prune")
    .description("Free what no backup needs any more, also while backups run")
    .option("-n, --dry-run", "show the plan only", false)
    .addOption(
      new Option("--max-unused <limit>", 'unneeded data that may stay in used packs: "5%", "2GB" or "unlimited"')
        .argParser(parseUnusedLimit)
        .default({ ratio: 0.05 }, "5%"),
    )
    .addOption(
      new Option("--safety-time <duration>", "how long data must have been marked as unneeded before it is deleted")
        .argParser(parseSafetyTime)
        .default(24 * 60 * 60_000, "24h"),
    )
    .addOption(new Option("--format <format>", "how to print the plan").choices(["table", "json"]))
    .action(run((invocation, options: PruneCommandOptions) => prune(invocation, options)));
}

const byteUnits: Readonly<Record<string, number>> = { B: 1, kB: 1e3, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };

/** "5%", "unlimited", "500MB", "0". */
function parseUnusedLimit(text: string): UnusedLimit {
  if (text === "unlimited") return "unlimited";
  const match = /^(\d+(?:\.\d+)?)\s*(%|B|kB|KB|MB|GB|TB)?$/.exec(text.trim());
  const value = Number(match?.[1]);
  const unit = match?.[2] ?? "B";
  if (match === null || (unit === "%" && value > 100)) {
    throw new InvalidArgumentError('A limit is a share such as "5%", a size such as "2GB", or "unlimited".');
  }
  return unit === "%" ? { ratio: value / 100 } : { bytes: value * (byteUnits[unit] ?? 1) };
}

function parseSafetyTime(text: string): number {
  const durationMs = text === "0" ? 0 : parseDurationMs(text);
  if (durationMs === undefined) throw new InvalidArgumentError('A duration is "24h", "30m", "2d" or "0".');
  return durationMs;
}

async function prune(invocation: Invocation, options: PruneCommandOptions): Promise<number> {
  const { host } = invocation;
  await using session = await Session.open(invocation, { needsRepository: true });
  const repository = await session.repository();
  say(invocation, `${options.dryRun ? "Planning a prune of" : "Pruning"} ${repository.location}.`);
  const progress = new TaskProgress(host, invocation.options, "prune");
  let report: PruneReport;
  try {
    report = await repository.prune({
      dryRun: options.dryRun,
      maxUnused: options.maxUnused,
      safetyMs: options.safetyTime,
      signal: host.signal,
      onProgress: ({ done, total }) => progress.show(done, total),
    });
  } finally {
    progress.finish();
  }
  if (options.format === "json") host.stdout.write(`${JSON.stringify(reportJson(report), null, 2)}\n`);
  else host.stdout.write(renderTable(planColumns, planRows(report.plan), { format: "table", header: true }));
  for (const line of summary(report)) say(invocation, line);
  return 0;
}

interface PlanRow extends PackGroup {
  readonly action: string;
}

const planColumns: readonly Column<PlanRow>[] = [
  { name: "action", header: "Packs", cell: ({ action }) => action },
  { name: "packs", header: "Number", align: "right", cell: ({ packs }) => packs.toLocaleString("en-US") },
  { name: "bytes", header: "Size", align: "right", cell: ({ bytes }) => formatBytes(bytes) },
];

const planRows = (plan: PruneFigures): PlanRow[] => [
  { action: "kept", ...plan.keep },
  { action: "repacked: their needed data is copied", ...plan.repack },
  { action: "marked as unneeded", ...plan.mark },
  { action: "needed again, no longer marked", ...plan.unmark },
  { action: "marked, waiting for the safety time", ...plan.wait },
  { action: "deleted", ...plan.delete },
];

function summary({ dryRun, plan, deleted, heldBack, temporariesRemoved }: PruneReport): string[] {
  const lines = [
    dryRun
      ? `Would free ${formatBytes(plan.bytesFreed)} now and ${formatBytes(plan.bytesFreedLater)} after the safety time.`
      : `Deleted ${formatCount(deleted.packs, "pack")} of ${formatBytes(deleted.bytes)}; ` +
        `${formatBytes(plan.bytesFreedLater)} more can be freed after the safety time, by running this again.`,
    `Backups need ${formatBytes(plan.bytesUsed)}; ${formatBytes(plan.bytesUnusedKept)} unneeded stays within kept packs.`,
  ];
  if (heldBack.packs > 0) {
    lines.push(`Held back: ${formatCount(heldBack.packs, "pack")}: ${printable(heldBack.reason ?? "needed again")}.`);
  }
  if (temporariesRemoved > 0) lines.push(`Removed ${formatCount(temporariesRemoved, "half-written file")}.`);
  return lines;
}

const reportJson = ({
  dryRun,
  snapshots,
  plan,
  deleted,
  heldBack,
  temporariesRemoved,
}: PruneReport): Record<string, unknown> => ({
  dry_run: dryRun,
  snapshots,
  plan: {
    keep: plan.keep,
    repack: plan.repack,
    mark: plan.mark,
    unmark: plan.unmark,
    wait: plan.wait,
    delete: plan.delete,
    bytes_rewritten: plan.bytesRewritten,
    bytes_used: plan.bytesUsed,
    bytes_unused_kept: plan.bytesUnusedKept,
    bytes_freed: plan.bytesFreed,
    bytes_freed_later: plan.bytesFreedLater,
  },
  deleted,
  held_back: heldBack,
  temporaries_removed: temporariesRemoved,
});
