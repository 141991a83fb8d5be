import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { type EnvironmentId, formatDuration, HoldfastError, type ProjectId } from "../../base/index.ts";
import { restoreReportJson } from "../../control/index.ts";
import type { Backup, RestoreReport } from "../../engine/index.ts";
import { chooseEnvironment } from "../choose.ts";
import {
  isStarted,
  type ListedEnvironment,
  type RestorePlan,
  type RestoreRequest,
  type Started,
} from "../control-plane.ts";
import { type Invocation, say } from "../offline/session.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { addFormatOption } from "../output/data-options.ts";
import { roundMilliseconds } from "../output/machine-numbers.ts";
import { formatCount, formatMoment, formatMomentAndAge } from "../output/moment.ts";
import type { TableFormat } from "../output/table.ts";
import { createProgress } from "../progress/create-progress.ts";
import { confirm, confirmByTyping } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
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
  if (options.resourcesInit !== undefined) {
    throw new HoldfastError(
      "INPUT_INVALID",
      "Holdfast makes no containers and sets no resources, so --resources-init has no use.",
      { remedy: "Leave the option out, and set resources where the environment is made." },
    );
  }
  // Into a folder of this machine nothing of the environment is touched: that needs no server beside the repository.
  await using plane = await openControlPlane(invocation, {
    needsRepository: true,
    besideServer: options.into !== undefined,
  });
  const environments = await plane.environments();
  const all = { id: plane.project.id, environments };
  const origin = chooseEnvironment(all, invocation.options.environment);
  const backup = await plane.findBackup(origin.id, id, (one) => one.restorable && one.status === "CREATED");
  const request: RestoreRequest = {
    backup: backup.id,
    origin,
    target: options.target === undefined ? origin : targetOf(all, options.target, options.branchFrom),
    branchFrom: options.branchFrom as EnvironmentId | undefined,
    noCode: !options.code,
    only: options.only,
    into: options.into === undefined ? undefined : resolve(host.cwd, options.into),
  };
  const plan = await plane.planRestore(request);
  describe(invocation, plan, request);
  if (request.into === undefined && !(await confirmRestore(invocation, request.target))) return 1;

  const progress = createProgress(host, invocation.options, options.format);
  let outcome: RestoreReport | Started;
  try {
    outcome = await plane.restore(request, { wait: options.wait, progress });
  } finally {
    progress.finish();
  }
  if (isStarted(outcome)) return tellStarted(invocation, options, outcome);
  if (options.format === "json") {
    const json = {
      backup: outcome.backup.id,
      environment: request.target.id,
      into: request.into ?? null,
      ...restoreReportJson(outcome),
    };
    host.stdout.write(`${JSON.stringify(roundMilliseconds(json), null, 2)}\n`);
  } else {
    say(invocation, doneText(outcome, plan, request));
    if (request.into === undefined && plan.parts.some(({ source }) => source.startsWith("code:"))) {
      say(invocation, "Restart the application: its processes still run the old code.");
    }
  }
  return warningsExit(invocation, outcome.warnings.length, options.format);
}

/** With --branch-from one that is not there yet is meant. */
function targetOf(
  project: { readonly id: ProjectId; readonly environments: readonly ListedEnvironment[] },
  wanted: string,
  branchFrom: string | undefined,
): ListedEnvironment {
  if (branchFrom === undefined || project.environments.some(({ id }) => id === wanted)) {
    return chooseEnvironment(project, wanted);
  }
  const { type, id: parent } = chooseEnvironment(project, branchFrom);
  return { id: wanted as EnvironmentId, title: wanted, type, status: "active", parent };
}

function tellStarted(invocation: Invocation, { format }: RestoreOptions, { log, activity }: Started): number {
  const { stdout } = invocation.host;
  say(
    invocation,
    log === undefined
      ? `It goes on at the server. Follow it with:  holdfast activity:log ${activity ?? ""}`
      : "It goes on in the background. How it ends stands in its log:",
  );
  const data = { log: log ?? null, activity: activity ?? null };
  stdout.write(format === "json" ? `${JSON.stringify(data, null, 2)}\n` : `${log ?? activity ?? ""}\n`);
  return 0;
}

/** What a production environment loses cannot be had back, so its name has to be typed. */
async function confirmRestore(invocation: Invocation, environment: ListedEnvironment): Promise<boolean> {
  if (environment.type !== "production") return confirm(invocation, "Are you sure you want to continue?");
  const question = "Type the environment's name to continue:";
  if (await confirmByTyping(invocation, question, environment.id)) return true;
  return false;
}

function describe(invocation: Invocation, plan: RestorePlan, request: RestoreRequest): void {
  const { backup } = plan;
  const { target, into, only } = request;
  const place = into ?? `${target.id} (${target.type})`;
  say(invocation, `Restoring ${backup.id} (${backupText(backup, invocation.host.clock.now())}) to ${place}.`);
  if (into === undefined) {
    const requests = plan.hasGateway
      ? "Requests wait for about a second."
      : "There is no gateway: requests are not held meanwhile.";
    say(invocation, `This replaces ${replacedText(plan, request)}. ${requests}`);
  }
  if (plan.missingInEnvironment.length > 0) {
    say(
      invocation,
      `Not restored, since the environment has no such component, or one of another kind: ${plan.missingInEnvironment.join(", ")}.`,
    );
  }
  if (plan.missingInBackup.length > 0 && only === undefined && into === undefined) {
    say(invocation, `Left as it is, since the backup does not hold it: ${plan.missingInBackup.join(", ")}.`);
  }
}

const backupText = (backup: Backup, now: Date): string =>
  `${backup.safe ? "safe" : "live"}, ${formatMomentAndAge(backup.createdAt, now)}`;

/** The parts as --only names them: "mount:app/media:2026, service:db"; undefined if the whole backup comes back. */
function partsText(plan: RestorePlan, { only }: RestoreRequest): string | undefined {
  if (only === undefined) return undefined;
  return plan.parts
    .map(({ source, below }) => selectionText(below === undefined ? { source } : { source, path: below }))
    .join(", ");
}

/** "the data of 3 services and 1 mount, and the code (1f3c9ab)", or the parts that are asked for. */
function replacedText(plan: RestorePlan, request: RestoreRequest): string {
  const named = partsText(plan, request);
  if (named !== undefined) return named;
  const ofKind = (prefix: string) => plan.parts.filter(({ source }) => source.startsWith(prefix));
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

function doneText(report: RestoreReport, plan: RestorePlan, request: RestoreRequest): string {
  const { into, target } = request;
  const parts = partsText(plan, request);
  const moment = formatMoment(report.backup.createdAt);
  if (into !== undefined) {
    return `Wrote ${parts === undefined ? "" : `${parts} of `}the backup of ${moment} to ${into} in ${formatDuration(report.durationMs)}. ${target.id} was not changed.`;
  }
  const git = plan.commitId !== "" ? " Its Git repository was not changed; your next deploy uses the latest code." : "";
  return `Restored ${parts === undefined ? "" : `${parts} of `}${target.id} to ${moment} in ${formatDuration(report.durationMs)}.${git}`;
}
