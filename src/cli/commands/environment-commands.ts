import type { Command } from "commander";
import { HoldfastError } from "../../base/index.ts";
import type { EnvironmentStatus } from "../../engine/index.ts";
import { chooseEnvironment, mainEnvironment } from "../choose.ts";
import type { EnvironmentInfo, ListedEnvironment, StatusChange } from "../control-plane.ts";
import { type Invocation, say } from "../offline/session.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import { formatTimestamp } from "../output/moment.ts";
import type { Column } from "../output/table.ts";
import { createProgress } from "../progress/create-progress.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
import { addPropertyOptions, type PropertyOptions, renderProperties } from "./property-output.ts";

const columns: readonly Column<ListedEnvironment>[] = [
  { name: "id", header: "ID", cell: ({ id }) => id },
  { name: "title", header: "Title", cell: ({ title }) => title },
  { name: "status", header: "Status", cell: ({ status }) => status },
  { name: "type", header: "Type", cell: ({ type }) => type },
  { name: "parent", header: "Parent", cell: ({ parent }) => parent ?? "" },
];

const defaultColumns = ["id", "title", "status", "type"];

interface Change {
  readonly change: StatusChange;
  /** Statuses from which it leads to its own. */
  readonly from: readonly EnvironmentStatus[];
  readonly to: EnvironmentStatus;
  readonly done: string;
}

const changes: readonly Change[] = [
  { change: "activate", from: ["inactive"], to: "active", done: "is active now" },
  { change: "pause", from: ["active"], to: "paused", done: "is paused now" },
  { change: "resume", from: ["paused"], to: "active", done: "is active again" },
  { change: "deactivate", from: ["active", "paused"], to: "inactive", done: "is inactive now" },
];

export function registerEnvironmentCommands(program: Command, run: RunCommand): void {
  addDataOptions(
    program.command("environment:list").alias("environments").description("List the project's environments"),
  ).action(run((invocation, options: DataOptions) => list(invocation, options)));
  addPropertyOptions(
    program.command("environment:info").description("Show an environment").argument("[environment]", "the environment"),
    "last_backup_at",
  ).action(run((invocation, options: PropertyOptions, environment?: string) => info(invocation, options, environment)));
  for (const change of changes) {
    program
      .command(`environment:${change.change}`)
      .description(`Mark an environment as ${change.to}: only an active one can be backed up or restored`)
      .argument("[environment]", "the environment")
      .option("-W, --no-wait", "do not wait for the end (needs a server; without one it is done at once)")
      .action(
        run((invocation, options: ChangeOptions, environment?: string) =>
          setStatus(invocation, change, options, environment),
        ),
      );
  }
}

async function list(invocation: Invocation, options: DataOptions): Promise<number> {
  await using plane = await openControlPlane(invocation);
  const json = ({ id, title, status, type, parent }: ListedEnvironment): Record<string, unknown> => ({
    id,
    title,
    status,
    type,
    parent: parent ?? null,
  });
  const rows = await plane.environments();
  invocation.host.stdout.write(renderData({ columns, defaultColumns, rows, json }, options));
  return 0;
}

async function info(invocation: Invocation, options: PropertyOptions, argument: string | undefined): Promise<number> {
  await using plane = await openControlPlane(invocation);
  const environments = await plane.environments();
  const { id } = chooseEnvironment({ id: plane.project.id, environments }, argument ?? invocation.options.environment);
  const data = infoJson(await plane.environmentInfo(id), plane.project.id);
  invocation.host.stdout.write(renderProperties("An environment", data, options));
  return 0;
}

const momentOrNull = (date: Date | null): string | null => (date === null ? null : formatTimestamp(date));

const infoJson = (environment: EnvironmentInfo, project: string): Record<string, unknown> => ({
  id: environment.id,
  title: environment.title,
  status: environment.status,
  type: environment.type,
  parent: environment.parent ?? null,
  project,
  is_main: environment.isMain,
  has_code: environment.hasCode,
  head_commit: environment.headCommit,
  last_backup_at: momentOrNull(environment.lastBackupAt),
  created_at: momentOrNull(environment.createdAt),
  updated_at: momentOrNull(environment.updatedAt),
});

interface ChangeOptions {
  readonly wait: boolean;
}

async function setStatus(
  invocation: Invocation,
  { change, from, to, done }: Change,
  { wait }: ChangeOptions,
  argument: string | undefined,
): Promise<number> {
  await using plane = await openControlPlane(invocation);
  const environments = await plane.environments();
  const environment = chooseEnvironment(
    { id: plane.project.id, environments },
    argument ?? invocation.options.environment,
  );
  const { id, status } = environment;
  if (status === to) {
    say(invocation, `The environment ${id} is ${status} already.`);
    return 0;
  }
  if (!from.includes(status)) {
    throw new HoldfastError(
      "INPUT_INVALID",
      `The environment ${id} is ${status}, so environment:${change} cannot be done.`,
      {
        facts: { environment: id, status },
        ...(status === "paused" ? { remedy: `Resume it:  holdfast environment:resume ${id}` } : {}),
        ...(status === "dirty" ? { remedy: "Wait for what is done to it:  holdfast activity:list" } : {}),
      },
    );
  }
  if (change === "deactivate") {
    if (mainEnvironment(environments)?.id === id) {
      throw new HoldfastError("INPUT_INVALID", `${id} is the project's main environment, which stays active.`);
    }
    say(invocation, `Marking ${id} as inactive: it is backed up and restored no more. Its data and its backups stay.`);
    if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;
  }
  const progress = createProgress(invocation.host, invocation.options, undefined);
  try {
    const outcome = await plane.changeStatus(environment, change, { wait, progress });
    progress.finish();
    say(
      invocation,
      outcome === "changed" ? `The environment ${id} ${done}.` : `It is asked for, and goes on at the server.`,
    );
    return 0;
  } finally {
    progress.finish();
  }
}
