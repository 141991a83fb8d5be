import type { Command } from "commander";
import { type EnvironmentId, formatBytes, formatDuration } from "../../base/index.ts";
import type { Backup } from "../../engine/index.ts";
import { planeEnvironment } from "../choose.ts";
import { type BackupPlan, type ControlPlane, isStarted, type ListedBackup, type Started } from "../control-plane.ts";
import { type Invocation, say } from "../offline/session.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import { formatMoment } from "../output/moment.ts";
import { createProgress } from "../progress/create-progress.ts";
import { wrapLine } from "../progress/wrap-line.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
import { backupColumns, defaultBackupColumns } from "./backup-columns.ts";
import { backupJson } from "./backup-json.ts";
import { warningsExit } from "./warnings.ts";

interface CreateOptions extends DataOptions {
  readonly live: boolean;
  readonly wait: boolean;
}

export function registerBackupCreate(program: Command, run: RunCommand): void {
  addDataOptions(
    program
      .command("backup:create")
      .alias("backup")
      .description("Make a backup of an environment")
      .argument("[environment]", "the environment")
      .option("--live", "hold no requests: components may differ from each other by the backup's skew", false)
      .option("-W, --no-wait", "go on in the background"),
  ).action(run((invocation, options: CreateOptions, environment?: string) => create(invocation, options, environment)));
}

async function create(invocation: Invocation, options: CreateOptions, argument: string | undefined): Promise<number> {
  const { host } = invocation;
  await using plane = await openControlPlane(invocation, { needsRepository: true });
  const environment = await planeEnvironment(plane, invocation.options, argument);
  // Before the question: what would refuse the backup is no news to get after it.
  const plan = await plane.planBackup(environment, options);
  const { id, type } = environment;
  say(
    invocation,
    `Creating a ${options.live ? "live" : "safe"} backup of ${id} (${type}, project ${plane.project.id}).`,
  );
  if (plan.replaces.length > 0) say(invocation, replacesText(plan));
  if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;

  // Progress and a server's log say it to people.
  const tellsReplaced = options.wait && options.format === "json";
  const before = tellsReplaced ? await manualBackups(plane, id) : [];
  const progress = createProgress(host, invocation.options, options.format);
  let outcome: ListedBackup | Started;
  try {
    outcome = await plane.createBackup(environment, options, { wait: options.wait, progress });
  } finally {
    progress.finish();
  }
  if (isStarted(outcome)) return tellStarted(invocation, options, outcome);
  const left = new Set((tellsReplaced ? await manualBackups(plane, id) : []).map((one) => one.id));
  return tellCreated(
    invocation,
    options,
    outcome,
    before.filter((one) => !left.has(one.id)),
  );
}

function tellStarted(invocation: Invocation, { format }: CreateOptions, { backup, log, activity }: Started): number {
  const { stdout } = invocation.host;
  const id = backup ?? "";
  say(
    invocation,
    log === undefined
      ? `It goes on at the server. Follow it with:  holdfast activity:log ${activity ?? ""}`
      : `It goes on in the background and writes to ${log}. Look at it with:  holdfast backup:get ${id}`,
  );
  if (format === "json") {
    stdout.write(`${JSON.stringify({ id, log: log ?? null, activity: activity ?? null }, null, 2)}\n`);
  } else {
    stdout.write(format === undefined ? `Backup name: ${id}\n` : `${id}\n`);
  }
  return 0;
}

function tellCreated(
  invocation: Invocation,
  options: CreateOptions,
  backup: ListedBackup,
  replaced: readonly Backup[],
): number {
  const { stdout, stderr } = invocation.host;
  if (options.format === "json") {
    const data = { ...backupJson(backup), replaced: replaced.map(({ id }) => id) };
    stdout.write(`${JSON.stringify(data, null, 2)}\n`);
  } else {
    say(invocation, wrapLine(`  done     ${doneText(backup)}`, stderr.columns ?? Number.POSITIVE_INFINITY));
    if (!backup.safe && backup.components.length > 1) {
      say(invocation, `           components differ by up to ${formatDuration(backup.skewMs)} (live)`);
    }
    say(invocation, "");
    if (options.format === undefined) stdout.write(`Backup name: ${backup.id}\n`);
    else if (options.format !== "table" && options.columns === undefined) stdout.write(`${backup.id}\n`);
    else stdout.write(renderData({ ...createdTable, rows: [backup] }, options));
  }
  return warningsExit(invocation, backup.warnings.length, options.format);
}

const createdTable = {
  columns: backupColumns,
  defaultColumns: defaultBackupColumns,
  json: backupJson,
};

/** Newest first. */
async function manualBackups(plane: ControlPlane, environment: EnvironmentId): Promise<readonly Backup[]> {
  return (await plane.backups(environment)).filter(({ automated }) => !automated);
}

/** "This replaces the oldest manual backup, ID of 14 Nov 2026 04:12 UTC (profile upsun keeps 2 manual ones)." */
function replacesText({ replaces: goes, manualCount: count, profile }: BackupPlan): string {
  const which = goes.length === 1 ? "the oldest manual backup" : "the oldest manual backups";
  const kept = count === 1 ? "1 manual one" : `${count} manual ones`;
  return `This replaces ${which}, ${goes.map(backupText).join(", ")} (profile ${profile} keeps ${kept}).`;
}

const backupText = (backup: Backup): string => `${backup.id} of ${formatMoment(backup.createdAt)}`;

/** "2.4 GB in 9.8 s, 61 MB new, 14 MB stored · disk ✓ · expires never". */
function doneText(backup: ListedBackup): string {
  const { written } = backup;
  return [
    `${formatBytes(backup.sizeBytes)} in ${formatDuration(backup.durationMs)}, ` +
      `${formatBytes(written.bytesNew)} new, ${formatBytes(written.bytesStored)} stored`,
    ...backup.replicas.map((name) => `${name} ✓`),
    `expires ${backup.expiresAt === null ? "never" : formatMoment(backup.expiresAt)}`,
  ].join(" · ");
}
