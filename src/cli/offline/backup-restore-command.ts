import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { formatDuration, HoldfastError, newOperationId } from "../../base/index.ts";
import type { EnvironmentConfig } from "../../config/index.ts";
import {
  assertActive,
  type Backup,
  planRestore,
  restoreBackup,
  type RestoreBackupOptions,
  type RestorePlan,
  type RestoreReport,
} from "../../engine/index.ts";
import { addFormatOption } from "../output/data-options.ts";
import { formatAge, formatCount, formatMoment } from "../output/moment.ts";
import type { TableFormat } from "../output/table.ts";
import { createProgress } from "../progress/create-progress.ts";
import { confirm, confirmByTyping } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
import { restoreReportJson } from "./restore-json.ts";
import { type Invocation, say, Session } from "./session.ts";
import { goOnInBackground } from "./background.ts";
import { collectSelections, selectionText, type SourceSelection } from "./source-selection.ts";
import { warningsExit } from "./warnings.ts";

interface RestoreOptions {
  readonly target?: string;
  readonly branchFrom?: string;
  /** False after --no-code. */
  readonly code: boolean;
  /** False after --no-resources. */
  readonly resources: boolean;
  readonly resourcesInit?: string;
  readonly only?: readonly SourceSelection[];
  readonly into?: string;
  readonly wait: boolean;
  readonly format?: TableFormat;
}

export function registerBackupRestore(program: Command, run: RunCommand): void {
  addFormatOption(
    program
      .command("backup:restore")
      .description("Restore a backup, by default the newest restorable one")
      .argument("[id]", "the backup, or latest")
      .option("--target <environment>", "restore to this environment instead of the backup's own")
      .option("--branch-from <environment>", "make the target environment from this one (needs a server)")
      .option("--no-code", "leave the code as it is")
      .option("--no-resources", "leave the resources as they are (Holdfast sets none)")
      .addOption(
        new Option("--resources-init <strategy>", "resources of new containers (refused: Holdfast makes none)").choices(
          ["backup", "parent", "default", "minimum"],
        ),
      )
      .option(
        "--only <source[:path]>",
        "only this component, or a path in it: service:db, mount:app/media:2026/01 (may be repeated)",
        collectSelections,
      )
      .option("--into <directory>", "write the files and dumps into this directory and leave the environment alone")
      .option("-W, --no-wait", "go on in the background"),
  ).action(run((invocation, options: RestoreOptions, id?: string) => restore(invocation, options, id)));
}

async function restore(invocation: Invocation, options: RestoreOptions, id: string | undefined): Promise<number> {
  const { host } = invocation;
  if (options.branchFrom !== undefined) {
    throw new HoldfastError(
      "INPUT_INVALID",
      "Without a server no new environment can be made, so --branch-from has no use.",
      {
        remedy: "Add the environment to the configuration and name it with --target, or restore with --into DIRECTORY.",
      },
    );
  }
  if (options.resourcesInit !== undefined) {
    throw new HoldfastError(
      "INPUT_INVALID",
      "Holdfast makes no containers and sets no resources, so --resources-init has no use.",
      { remedy: "Leave the option out, and set resources where the environment is made." },
    );
  }
  await using session = await Session.open(invocation, { needsRepository: true });
  const origin = session.chooseEnvironment();
  const chosen = options.target === undefined ? origin : session.chooseEnvironment(options.target);
  const backup = await session.findBackup(origin, id, (one) => one.restorable && one.status === "CREATED");
  const environment = await session.environment(chosen);
  if (options.into === undefined) assertActive(environment);

  const restoreOptions: RestoreBackupOptions = {
    backup: backup.id,
    noCode: !options.code,
    ...(chosen.id === origin.id ? {} : { sourceEnvironment: origin.id }),
    ...(options.only === undefined ? {} : { only: options.only }),
    ...(options.into === undefined ? {} : { into: resolve(host.cwd, options.into) }),
  };
  const progress = createProgress(host, invocation.options, options.format);
  const context = await session.engineContext((event) => progress.show(event));
  const plan = await planRestore(context, environment, restoreOptions);
  assertRestorableInPart(plan);
  describe(invocation, plan, chosen, restoreOptions);
  if (restoreOptions.into === undefined && !(await confirmRestore(invocation, chosen))) return 1;

  if (!options.wait && host.backgroundName === undefined) {
    const log = await goOnInBackground(invocation, session.config.stateDirectory, `restore-${newOperationId()}`);
    say(invocation, "It goes on in the background. How it ends stands in its log:");
    host.stdout.write(options.format === "json" ? `${JSON.stringify({ log }, null, 2)}\n` : `${log}\n`);
    return 0;
  }

  await session.record(options.into === undefined ? "environment.restore" : "backup.restore-into", chosen, {
    backup: backup.id,
    source_environment: origin.id,
    restore_code: options.code,
    ...(options.only === undefined ? {} : { only: options.only.map(selectionText).join(", ") }),
    ...(restoreOptions.into === undefined ? {} : { into: restoreOptions.into }),
  });
  let report: RestoreReport;
  try {
    report = await restoreBackup(context, environment, restoreOptions);
  } finally {
    progress.finish();
  }
  if (options.format === "json") {
    host.stdout.write(`${JSON.stringify(restoreReportJson(report, chosen.id, restoreOptions.into), null, 2)}\n`);
  } else {
    say(invocation, doneText(report, plan, chosen, restoreOptions));
    if (restoreOptions.into === undefined && plan.steps.some(({ source }) => source.startsWith("code:"))) {
      say(invocation, "Restart the application: its processes still run the old code.");
    }
  }
  return warningsExit(invocation, report.warnings.length, options.format);
}

/**
 * A kind that is only restored whole refuses here, before anybody is asked and anything is begun.
 * @throws HoldfastError SERVICE_UNSUPPORTED
 */
function assertRestorableInPart(plan: RestorePlan): void {
  for (const { component, below } of plan.steps) {
    if (below !== undefined) component?.target(below);
  }
}

/** What a production environment loses cannot be had back, so its name has to be typed. */
async function confirmRestore(invocation: Invocation, environment: EnvironmentConfig): Promise<boolean> {
  if (environment.type !== "production") return confirm(invocation, "Are you sure you want to continue?");
  const question = "Type the environment's name to continue:";
  if (await confirmByTyping(invocation, question, environment.id)) return true;
  return false;
}

function describe(
  invocation: Invocation,
  plan: RestorePlan,
  environment: EnvironmentConfig,
  options: RestoreBackupOptions,
): void {
  const { backup } = plan;
  const place = options.into === undefined ? `${environment.id} (${environment.type})` : options.into;
  say(invocation, `Restoring ${backup.id} (${backupText(backup, invocation.host.clock.now())}) to ${place}.`);
  if (options.into === undefined) {
    const requests =
      environment.gateway === undefined
        ? "There is no gateway: requests are not held meanwhile."
        : "Requests wait for about a second.";
    say(invocation, `This replaces ${replacedText(plan, options)}. ${requests}`);
  }
  if (plan.missingInEnvironment.length > 0) {
    say(
      invocation,
      `Not restored, since the environment has no such component: ${plan.missingInEnvironment.join(", ")}.`,
    );
  }
  if (plan.missingInBackup.length > 0 && options.only === undefined && options.into === undefined) {
    say(invocation, `Left as it is, since the backup does not hold it: ${plan.missingInBackup.join(", ")}.`);
  }
}

const backupText = (backup: Backup, now: Date): string =>
  `${backup.safe ? "safe" : "live"}, ${formatMoment(backup.createdAt)}, ${formatAge(backup.createdAt, now)}`;

/** The parts as --only names them: "mount:app/media:2026, service:db"; undefined if the whole backup comes back. */
function partsText(plan: RestorePlan, { only }: RestoreBackupOptions): string | undefined {
  if (only === undefined) return undefined;
  return plan.steps
    .map(({ source, below }) => selectionText(below === undefined ? { source } : { source, path: below }))
    .join(", ");
}

/** "the data of 3 services and 1 mount, and the code (1f3c9ab)", or the parts that are asked for. */
function replacedText(plan: RestorePlan, options: RestoreBackupOptions): string {
  const named = partsText(plan, options);
  if (named !== undefined) return named;
  const ofKind = (prefix: string) => plan.steps.filter((step) => step.source.startsWith(prefix));
  const parts = [
    [ofKind("service:").length, "service"],
    [ofKind("mount:").length, "mount"],
  ] as const;
  const data = parts.filter(([count]) => count > 0).map(([count, noun]) => formatCount(count, noun));
  const texts: string[] = [];
  if (data.length > 0) texts.push(`the data of ${data.join(" and ")}`);
  if (ofKind("code:").length > 0) {
    texts.push(plan.commitId === "" ? "the code" : `the code (${plan.commitId.slice(0, 7)})`);
  }
  return texts.join(", and ");
}

function doneText(
  report: RestoreReport,
  plan: RestorePlan,
  environment: EnvironmentConfig,
  options: RestoreBackupOptions,
): string {
  const { into } = options;
  const parts = partsText(plan, options);
  const moment = formatMoment(report.backup.createdAt);
  if (into !== undefined) {
    return `Wrote ${parts === undefined ? "" : `${parts} of `}the backup of ${moment} to ${into} in ${formatDuration(report.durationMs)}. ${environment.id} was not changed.`;
  }
  const git = plan.commitId !== "" ? " Its Git repository was not changed; your next deploy uses the latest code." : "";
  return `Restored ${parts === undefined ? "" : `${parts} of `}${environment.id} to ${moment} in ${formatDuration(report.durationMs)}.${git}`;
}
