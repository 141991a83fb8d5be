import { type Command, Option } from "commander";
import { repairBackups } from "../../engine/index.ts";
import type { RepairReport } from "../../repository/index.ts";
import { formatCount } from "../output/moment.ts";
import { printable } from "../output/printable.ts";
import { type Column, renderTable } from "../output/table.ts";
import { TaskProgress } from "../progress/task-progress.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
import { type Invocation, say, Session } from "./session.ts";
import { boundedLines, snapshotJson, snapshotText } from "./snapshot-text.ts";
import { warningsExit } from "../commands/warnings.ts";

interface RepairCommandOptions {
  readonly dryRun: boolean;
  readonly readData: boolean;
  readonly forget: boolean;
  readonly format?: "table" | "json";
}

export function registerRepoRepair(program: Command, run: RunCommand): void {
  program
    .command("repo:repair")
    .description("Make the index again from what can be read, and say what backups lost")
    .option("-n, --dry-run", "show what would be done only", false)
    .option("--read-data", "read every pack, which finds altered data, too; not only those in doubt", false)
    .option("--forget", "replace backups that lost data by what is left of them", false)
    .addOption(new Option("--format <format>", "how to print what was done").choices(["table", "json"]))
    .action(run((invocation, options: RepairCommandOptions) => repair(invocation, options)));
}

async function repair(invocation: Invocation, options: RepairCommandOptions): Promise<number> {
  const { host } = invocation;
  await using session = await Session.open(invocation, { needsRepository: true });
  const repository = await session.repository();
  const { dryRun, readData, forget } = options;
  say(invocation, `${dryRun ? "Planning a repair of" : "Repairing"} ${repository.location}.`);
  if (forget && !dryRun) {
    say(
      invocation,
      "Backups that lost data will be replaced by what is left of them, and those that cannot be read removed. A new backup,\n" +
        "taken before this, brings back what is still there unchanged. See what is lost with --dry-run.",
    );
    if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;
  }
  const progress = new TaskProgress(host, invocation.options, "repair");
  let report: RepairReport;
  try {
    const context = { repository, catalog: session.catalog, clock: host.clock };
    report = await repairBackups(context, session.project.id, {
      dryRun,
      readData,
      forget,
      signal: host.signal,
      onProgress: ({ done, total }) => progress.show(done, total),
    });
  } finally {
    progress.finish();
  }
  if (options.format === "json") host.stdout.write(`${JSON.stringify(reportJson(report), null, 2)}\n`);
  else {
    host.stdout.write(renderTable(columns, rowsOf(report), { format: "table", header: true }));
    for (const line of lossLines(report)) host.stdout.write(`${line}\n`);
  }
  say(invocation, summary(report, options));
  return warningsExit(invocation, report.damaged.length + report.snapshotsUndecodable.length, options.format);
}

interface Row {
  readonly what: string;
  readonly count: number;
}

const columns: readonly Column<Row>[] = [
  { name: "what", header: "Index and packs", cell: ({ what }) => what },
  { name: "count", header: "Number", align: "right", cell: ({ count }) => count.toLocaleString("en-US") },
];

const rowsOf = ({ index }: RepairReport): Row[] => [
  { what: "index files that cannot be read", count: index.undecodable.length },
  { what: "index files replaced", count: index.replaced.length },
  { what: "packs that no index named, added", count: index.packsAdded.length },
  { what: "packs that are missing, taken out of the index", count: index.packsMissing.length },
  { what: "packs that are damaged, taken out of the index", count: index.packsDamaged.length },
  { what: "blobs copied out of damaged packs", count: index.blobsSalvaged },
];

const backupsNamed = 50;

function* lossLines({ damaged, snapshotsUndecodable }: RepairReport): Generator<string> {
  for (const { snapshot, paths, pathsTotal, nothingLeft } of damaged.slice(0, backupsNamed)) {
    yield nothingLeft ? `Lost: ${snapshotText(snapshot)}: all of it` : `Lost from the ${snapshotText(snapshot)}:`;
    if (!nothingLeft) for (const line of boundedLines(paths, pathsTotal, "path")) yield `  ${printable(line)}`;
  }
  const more = damaged.length - backupsNamed;
  if (more > 0) yield `${formatCount(more, "more backup")} lost data; --format json names them.`;
  for (const id of snapshotsUndecodable) yield `Lost: the snapshot ${id}, which cannot be read`;
}

function summary(report: RepairReport, { dryRun, forget }: RepairCommandOptions): string {
  const { damaged, snapshotsUndecodable, snapshots, index } = report;
  const lost = damaged.length + snapshotsUndecodable.length;
  const done = index.replaced.length + index.packsAdded.length + index.packsDamaged.length;
  const indexText = done === 0 ? "The index is right." : `The index ${dryRun ? "would be" : "was"} made right.`;
  if (lost === 0)
    return `${indexText} All ${formatCount(snapshots, "backup")} ${snapshots === 1 ? "is" : "are"} whole.`;
  const which = `${lost.toLocaleString("en-US")} of ${formatCount(snapshots + snapshotsUndecodable.length, "backup")} lost data`;
  if (dryRun) return `${indexText} ${which}. Nothing was changed.`;
  if (forget) return `${indexText} ${which} and ${lost === 1 ? "was" : "were"} replaced by what is left.`;
  return (
    `${indexText} ${which}. They stay as they are: take a new backup, which brings back what is still there unchanged, and run\n` +
    "this again; then  holdfast repo:repair --forget  replaces them by what is left of them."
  );
}

const reportJson = ({ dryRun, index, snapshots, snapshotsUndecodable, damaged }: RepairReport): unknown => ({
  dry_run: dryRun,
  index: {
    undecodable: index.undecodable,
    replaced: index.replaced,
    packs_added: index.packsAdded,
    packs_missing: index.packsMissing,
    packs_damaged: index.packsDamaged.map(({ id, blobsReadable, blobsLost }) => ({
      id,
      blobs_readable: blobsReadable,
      blobs_lost: blobsLost ?? null,
    })),
    blobs_salvaged: index.blobsSalvaged,
  },
  snapshots,
  snapshots_undecodable: snapshotsUndecodable,
  damaged: damaged.map(({ snapshot, paths, pathsTotal, nothingLeft, replacement }) => ({
    ...snapshotJson(snapshot),
    paths,
    paths_total: pathsTotal,
    nothing_left: nothingLeft,
    replacement: replacement?.id ?? null,
  })),
});
