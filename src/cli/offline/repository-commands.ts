import { type Command, InvalidArgumentError } from "commander";
import { formatBytes, HoldfastError } from "../../base/index.ts";
import type { AffectedSnapshot, CheckReport, DataCoverage } from "../../repository/index.ts";
import { addFormatOption } from "../output/data-options.ts";
import { formatCount } from "../output/moment.ts";
import { printable } from "../output/printable.ts";
import type { TableFormat } from "../output/table.ts";
import type { RunCommand } from "../run-command.ts";
import { type Invocation, say, Session } from "./session.ts";
import { boundedLines, snapshotJson, snapshotText } from "./snapshot-text.ts";
import { TaskProgress } from "../progress/task-progress.ts";

interface CheckCommandOptions {
  readonly readData?: number | true;
  readonly format?: TableFormat;
}

export function registerRepositoryCommands(program: Command, run: RunCommand): void {
  addFormatOption(
    program
      .command("repo:check")
      .description("Check the repository; with --read-data every byte of it, or a share")
      .option(
        "--read-data [share]",
        'read and verify the data: all of it, or a share such as "10%" or 0.1',
        parseShare,
      ),
  ).action(run((invocation, options: CheckCommandOptions) => check(invocation, options)));
  program
    .command("repo:unlock")
    .description("Remove locks that dead processes left behind")
    .option("--all", "remove every lock: only when nothing else uses the repository", false)
    .action(run((invocation, options: { readonly all: boolean }) => unlock(invocation, options.all)));
}

/** "10%", "0.1", "1" (all). */
function parseShare(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(%?)$/.exec(text.trim());
  const ratio = match === null ? Number.NaN : Number(match[1]) / (match[2] === "%" ? 100 : 1);
  if (!(ratio > 0 && ratio <= 1)) throw new InvalidArgumentError('A share is "10%", or a number from 0 to 1.');
  return ratio;
}

async function check(invocation: Invocation, options: CheckCommandOptions): Promise<number> {
  const { host } = invocation;
  await using session = await Session.open(invocation, { needsRepository: true });
  const repository = await session.repository();
  const ratio = options.readData === true ? 1 : (options.readData ?? 0);
  say(
    invocation,
    `Checking ${repository.location}${ratio > 0 ? `, reading ${ratio === 1 ? "all packs" : `at least ${percent(ratio)} of the packs`}` : ""}.`,
  );
  const progress = new TaskProgress(host, invocation.options, "check");
  let report: CheckReport;
  let packsRead = 0;
  try {
    report = await repository.check({
      readDataRatio: ratio,
      signal: host.signal,
      onProgress: (done, total) => {
        packsRead = done;
        progress.show(done, total);
      },
    });
  } finally {
    progress.finish();
  }
  if (options.format === "json") host.stdout.write(`${JSON.stringify(checkJson(report, packsRead), null, 2)}\n`);
  else for (const line of findingLines(report)) host.stdout.write(`${line}\n`);
  const errors = report.findings.filter(({ severity }) => severity === "error").length;
  if (errors > 0) {
    throw new HoldfastError("REPOSITORY_DAMAGED", `The repository has ${formatCount(errors, "error")}.`, {
      facts: { errors, location: repository.location },
      remedy: repairRemedy(ratio),
    });
  }
  say(
    invocation,
    `No errors were found: ${formatCount(report.snapshots, "snapshot")}, ${formatCount(report.packs, "pack")}, ` +
      `${formatCount(report.blobs, "blob")}; ${readText(report, packsRead)}.`,
  );
  const coverage = coverageText(report.coverage, host.clock.now());
  if (coverage !== undefined) say(invocation, coverage);
  return 0;
}

/** "10 %", "0.5 %". */
const percent = (ratio: number): string => `${Number((ratio * 100).toFixed(1))} %`;

/** "read 3 of 30 packs (10 %), 12 MB": packs are read whole, so the share is seldom the one that was asked for. */
function readText({ packs, bytesRead }: CheckReport, packsRead: number): string {
  if (packsRead === 0) return "read no data";
  const total = Math.max(packs, packsRead);
  return `read ${packsRead.toLocaleString("en-US")} of ${formatCount(total, "pack")} (${percent(packsRead / total)}), ${formatBytes(bytesRead)}`;
}

/** "Within the last 12 days checks have read 62 % of the data (40 GB); the rest was never read." */
function coverageText({ bytes, bytesTotal, since }: DataCoverage, now: Date): string | undefined {
  if (since === undefined || bytesTotal === 0) return undefined;
  const days = Math.max(1, Math.ceil((now.getTime() - since.getTime()) / 86_400_000));
  const within = days === 1 ? "Within the last day" : `Within the last ${days} days`;
  if (bytes === bytesTotal) return `${within} checks have read all of the data (${formatBytes(bytes)}).`;
  // Not rounded up: 99.97 % is not all of it.
  const share = percent(Math.floor((bytes / bytesTotal) * 1000) / 1000);
  return `${within} checks have read ${share} of the data (${formatBytes(bytes)}); the rest was never read.`;
}

function repairRemedy(ratio: number): string {
  const option = ratio > 0 ? " --read-data" : "";
  return (
    `See what can be saved:  holdfast repo:repair${option} --dry-run\n` +
    "Until then delete no backups; a copy of the repository as it is does no harm."
  );
}

/** Of a finding, so many of the backups that it concerns are named. */
const backupsNamed = 5;

function* findingLines(report: CheckReport): Generator<string> {
  for (const { severity, kind, message, snapshots = [], affected = [] } of report.findings) {
    yield `${severity}: ${kind}: ${printable(message)}`;
    const named = affected.slice(0, backupsNamed);
    for (const { snapshot, paths, pathsTotal } of named) {
      yield `  ${snapshotText(snapshot)}:`;
      for (const line of boundedLines(paths, pathsTotal, "path")) yield `    ${printable(line)}`;
    }
    const more = snapshots.length - named.length;
    if (named.length === 0 && more > 0) yield `  snapshot${more === 1 ? "" : "s"} ${firstIds(snapshots)}`;
    else if (more > 0) yield `  and ${formatCount(more, "more backup")}`;
  }
}

function firstIds(ids: readonly string[]): string {
  const named = ids.slice(0, backupsNamed).map((id) => id.slice(0, 8));
  return boundedLines(named, ids.length, "snapshot").join(", ");
}

const affectedJson = ({ snapshot, paths, pathsTotal }: AffectedSnapshot): Record<string, unknown> => ({
  ...snapshotJson(snapshot),
  paths,
  paths_total: pathsTotal,
});

const checkJson = (report: CheckReport, packsRead: number): Record<string, unknown> => ({
  findings: report.findings.map(({ affected, ...finding }) => ({
    ...finding,
    ...(affected === undefined ? {} : { affected: affected.map(affectedJson) }),
  })),
  snapshots: report.snapshots,
  packs: report.packs,
  blobs: report.blobs,
  packs_read: packsRead,
  bytes_read: report.bytesRead,
  coverage: {
    packs: report.coverage.packs,
    packs_total: report.coverage.packsTotal,
    bytes: report.coverage.bytes,
    bytes_total: report.coverage.bytesTotal,
    since: report.coverage.since?.toISOString() ?? null,
  },
});

async function unlock(invocation: Invocation, all: boolean): Promise<number> {
  await using session = await Session.open(invocation, { needsRepository: true });
  const repository = await session.repository();
  const removed = await repository.unlock({ all });
  say(invocation, `Removed ${formatCount(removed, "lock")}.`);
  const left = await repository.locks();
  for (const lock of left) {
    say(
      invocation,
      `Left: ${lock.exclusive ? "exclusive" : "shared"} lock of process ${lock.pid} on ${printable(lock.hostname)}, which is at work.`,
    );
  }
  return 0;
}
