import type { Command } from "commander";
import { formatBytes, formatDuration, HoldfastError, isBackupId, newBackupId } from "../../base/index.ts";
import type { EnvironmentConfig, ProjectConfig } from "../../config/index.ts";
import { type ManualBackupPolicy, manualPolicy, retentionKey } from "../../control/index.ts";
import { assertCanBackUp, type Backup, createBackup } from "../../engine/index.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import { formatMoment } from "../output/moment.ts";
import { createProgress } from "../progress/create-progress.ts";
import { wrapLine } from "../progress/wrap-line.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
import { goOnInBackground, removeBackgroundLog } from "./background.ts";
import { backupColumns, defaultBackupColumns } from "./backup-columns.ts";
import { backupJson } from "./backup-json.ts";
import { type Invocation, say, Session } from "./session.ts";
import { warningsExit } from "./warnings.ts";

interface CreateOptions extends DataOptions {
  readonly live: boolean;
  readonly wait: boolean;
}

const dayMs = 86_400_000;

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
  await using session = await Session.open(invocation, { needsRepository: true });
  const chosen = session.chooseEnvironment(argument);
  const { project } = session;
  const settings = await session.catalog.projects.settings(project.id);
  const policy = manualPolicy(project.profile, chosen.type, settings.get(retentionKey));
  assertManualAllowed(policy, project, chosen);
  const environment = await session.environment(chosen);
  assertCanBackUp(environment, options);
  // Opened before the question: a missing repository or a wrong password is no news to get after it.
  const progress = createProgress(host, invocation.options, options.format);
  const context = await session.engineContext((event) => progress.show(event));
  say(
    invocation,
    `Creating a ${options.live ? "live" : "safe"} backup of ${chosen.id} (${chosen.type}, project ${project.id}).`,
  );
  const goes = backupsToBeReplaced(await manualBackups(session, chosen), policy);
  if (goes.length > 0) say(invocation, replacesText(goes, project, policy));
  if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;

  const id = host.backgroundName ?? newBackupId();
  if (!isBackupId(id)) throw new TypeError(`"${id}" is no id of a backup.`);
  if (!options.wait && host.backgroundName === undefined) {
    const log = await goOnInBackground(invocation, session.config.stateDirectory, id);
    say(invocation, `It goes on in the background and writes to ${log}. Look at it with:  holdfast backup:get ${id}`);
    if (options.format === "json") host.stdout.write(`${JSON.stringify({ id, log }, null, 2)}\n`);
    else host.stdout.write(options.format === undefined ? `Backup name: ${id}\n` : `${id}\n`);
    return 0;
  }

  const before = await manualBackups(session, chosen);
  await session.record("environment.backup", chosen, { backup: id, safe: !options.live, automated: false });
  let backup: Backup;
  try {
    backup = await createBackup(context, environment, {
      id,
      live: options.live,
      ...(policy.expiryDays === undefined
        ? {}
        : { expiresAt: new Date(host.clock.now().getTime() + policy.expiryDays * dayMs) }),
    });
  } finally {
    progress.finish();
  }

  await removeBackgroundLog(session.config.stateDirectory, id);
  const replicas = project.repository.replicas.map(({ name }) => name);
  const left = new Set((await manualBackups(session, chosen)).map(({ id }) => id));
  const replaced = before.filter(({ id }) => !left.has(id));
  if (options.format === "json") {
    const data = { ...backupJson(backup, replicas), replaced: replaced.map(({ id }) => id) };
    host.stdout.write(`${JSON.stringify(data, null, 2)}\n`);
  } else {
    say(
      invocation,
      wrapLine(`  done     ${doneText(backup, replicas)}`, host.stderr.columns ?? Number.POSITIVE_INFINITY),
    );
    if (!backup.safe && backup.components.length > 1) {
      say(invocation, `           components differ by up to ${formatDuration(backup.skewMs)} (live)`);
    }
    for (const old of replaced) say(invocation, `           replaced ${backupText(old)}`);
    say(invocation, "");
    if (options.format === undefined) host.stdout.write(`Backup name: ${backup.id}\n`);
    else if (options.format !== "table" && options.columns === undefined) host.stdout.write(`${backup.id}\n`);
    else host.stdout.write(renderData({ ...createdTable, rows: [backup] }, options));
  }
  return warningsExit(invocation, backup.warnings.length, options.format);
}

const createdTable = {
  columns: backupColumns,
  defaultColumns: defaultBackupColumns,
  json: (backup: Backup): unknown => backupJson(backup, []),
};

/** Spec C8. */
function assertManualAllowed(policy: ManualBackupPolicy, project: ProjectConfig, environment: EnvironmentConfig): void {
  if (policy.allowed) return;
  throw new HoldfastError(
    "MANUAL_BACKUP_FORBIDDEN",
    `The profile ${project.profile} of project ${project.id} allows no manual backups of ${environment.type} environments.`,
    {
      facts: { project: project.id, environment: environment.id, profile: project.profile },
      remedy: "Its automated backups serve there. Choose another profile in the configuration to allow manual ones.",
    },
  );
}

/** Newest first. */
async function manualBackups(session: Session, environment: EnvironmentConfig): Promise<readonly Backup[]> {
  const backups = await session.catalog.list(session.project.id, environment.id);
  return backups.filter((backup) => !backup.automated);
}

/** Spec C7: the manual backups that go once the new one is complete. */
const backupsToBeReplaced = (manual: readonly Backup[], { count }: ManualBackupPolicy): readonly Backup[] =>
  count === undefined ? [] : manual.slice(Math.max(1, count) - 1);

/** "This replaces the oldest manual backup, ID of 14 Nov 2026 04:12 UTC (profile upsun keeps 2 manual ones)." */
function replacesText(goes: readonly Backup[], project: ProjectConfig, { count }: ManualBackupPolicy): string {
  const which = goes.length === 1 ? "the oldest manual backup" : "the oldest manual backups";
  const kept = count === 1 ? "1 manual one" : `${count} manual ones`;
  return `This replaces ${which}, ${goes.map(backupText).join(", ")} (profile ${project.profile} keeps ${kept}).`;
}

const backupText = (backup: Backup): string => `${backup.id} of ${formatMoment(backup.createdAt)}`;

/** "2.4 GB in 9.8 s, 61 MB new, 14 MB stored · disk ✓ · expires never". */
function doneText(backup: Backup, replicas: readonly string[]): string {
  const { written } = backup;
  return [
    `${formatBytes(backup.sizeBytes)} in ${formatDuration(backup.durationMs)}, ` +
      `${formatBytes(written.bytesNew)} new, ${formatBytes(written.bytesStored)} stored`,
    ...replicas.map((name) => `${name} ✓`),
    `expires ${backup.expiresAt === null ? "never" : formatMoment(backup.expiresAt)}`,
  ].join(" · ");
}
