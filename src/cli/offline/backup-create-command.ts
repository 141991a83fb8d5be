import type { Command } from "commander";
import { formatBytes, formatDuration, HoldfastError } from "../../base/index.ts";
import type { EnvironmentConfig, ProjectConfig } from "../../config/index.ts";
import { type ManualBackupPolicy, manualBackupPolicy } from "../../control/index.ts";
import { assertCanBackUp, type Backup, createBackup } from "../../engine/index.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import { formatDay, formatMoment } from "../output/moment.ts";
import { createProgress } from "../progress/create-progress.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
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
      .option("-W, --no-wait", "do not wait for the end (needs a server; without one the command waits)"),
  ).action(run((invocation, options: CreateOptions, environment?: string) => create(invocation, options, environment)));
}

async function create(invocation: Invocation, options: CreateOptions, argument: string | undefined): Promise<number> {
  const { host } = invocation;
  await using session = await Session.open(invocation);
  const chosen = session.chooseEnvironment(argument);
  const { project } = session;
  const policy = manualBackupPolicy(project.profile, chosen.type);
  assertManualAllowed(policy, project, chosen);
  const environment = await session.environment(chosen);
  assertCanBackUp(environment, options);
  // Opened before the question: a missing repository or a wrong password is no news to get after it.
  const progress = createProgress(host, invocation.options, options.format);
  const context = await session.engineContext((event) => progress.show(event));
  if (!options.wait) say(invocation, "Note: no server is running, so this process makes the backup and waits for it.");

  say(
    invocation,
    `Creating a ${options.live ? "live" : "safe"} backup of ${chosen.id} (${chosen.type}, project ${project.id}).`,
  );
  const replaced = await backupToBeReplaced(session, chosen, policy);
  if (replaced !== undefined) {
    say(
      invocation,
      `Note: this may replace an older backup, ${replaced.id} of ${formatDay(replaced.createdAt)} (manual_count ${policy.count}).`,
    );
  }
  if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;

  let backup: Backup;
  try {
    backup = await createBackup(context, environment, {
      live: options.live,
      ...(policy.expiryDays === undefined
        ? {}
        : { expiresAt: new Date(host.clock.now().getTime() + policy.expiryDays * dayMs) }),
    });
  } finally {
    progress.finish();
  }

  const replicas = project.repository.replicas.map(({ name }) => name);
  if (options.format === "json") {
    host.stdout.write(`${JSON.stringify(backupJson(backup, replicas), null, 2)}\n`);
  } else {
    say(invocation, `  done     ${doneText(backup, replicas)}`);
    if (!backup.safe && backup.components.length > 1) {
      say(invocation, `           components differ by up to ${formatDuration(backup.skewMs)} (live)`);
    }
    say(invocation, "");
    if (options.format === undefined) host.stdout.write(`Backup name: ${backup.id}\n`);
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

/** Spec C7: the manual backup that goes once the new one is complete. */
async function backupToBeReplaced(
  session: Session,
  environment: EnvironmentConfig,
  policy: ManualBackupPolicy,
): Promise<Backup | undefined> {
  if (policy.count === undefined) return undefined;
  const backups = await session.catalog.list(session.project.id, environment.id);
  const manual = backups.filter((backup) => !backup.automated);
  return manual.length >= policy.count ? manual.at(-1) : undefined;
}

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
