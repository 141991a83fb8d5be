import type { Command } from "commander";
import { HoldfastError } from "../../base/index.ts";
import type { EnvironmentConfig } from "../../config/index.ts";
import type { EnvironmentStatus } from "../../engine/index.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import type { Column } from "../output/table.ts";
import type { RunCommand } from "../run-command.ts";
import { type Invocation, say, Session } from "./session.ts";

interface ListedEnvironment {
  readonly config: EnvironmentConfig;
  readonly status: EnvironmentStatus;
}

const columns: readonly Column<ListedEnvironment>[] = [
  { name: "id", header: "ID", cell: ({ config }) => config.id },
  { name: "title", header: "Title", cell: ({ config }) => config.title },
  { name: "status", header: "Status", cell: ({ status }) => status },
  { name: "type", header: "Type", cell: ({ config }) => config.type },
  { name: "parent", header: "Parent", cell: ({ config }) => config.parent ?? "" },
];

const defaultColumns = ["id", "title", "status", "type"];

/** Statuses from which each command leads to its own. */
const changes = [
  {
    command: "environment:activate",
    action: "environment.activate",
    from: ["inactive"],
    to: "active",
    done: "is active now",
  },
  { command: "environment:pause", action: "environment.pause", from: ["active"], to: "paused", done: "is paused now" },
  {
    command: "environment:resume",
    action: "environment.resume",
    from: ["paused"],
    to: "active",
    done: "is active again",
  },
] as const;

/** The catalog has the environments' statuses, so there must be a way to see and set them. */
export function registerEnvironmentCommands(program: Command, run: RunCommand): void {
  addDataOptions(
    program.command("environment:list").alias("environments").description("List the project's environments"),
  ).action(run((invocation, options: DataOptions) => list(invocation, options)));
  for (const change of changes) {
    program
      .command(change.command)
      .description(`Mark an environment as ${change.to}: only an active one can be backed up or restored`)
      .argument("[environment]", "the environment")
      .action(run((invocation, _options: unknown, environment?: string) => setStatus(invocation, change, environment)));
  }
}

async function list(invocation: Invocation, options: DataOptions): Promise<number> {
  await using session = await Session.open(invocation);
  const { project, catalog } = session;
  const rows: ListedEnvironment[] = [];
  for (const config of project.environments) {
    rows.push({ config, status: await catalog.environmentStatus(project.id, config.id, config.initialStatus) });
  }
  const json = ({ config, status }: ListedEnvironment): Record<string, unknown> => ({
    id: config.id,
    title: config.title,
    status,
    type: config.type,
    parent: config.parent ?? null,
  });
  invocation.host.stdout.write(renderData({ columns, defaultColumns, rows, json }, options));
  return 0;
}

async function setStatus(
  invocation: Invocation,
  change: (typeof changes)[number],
  argument: string | undefined,
): Promise<number> {
  await using session = await Session.open(invocation);
  const { project, catalog } = session;
  const environment = session.chooseEnvironment(argument);
  const status = await catalog.environmentStatus(project.id, environment.id, environment.initialStatus);
  if (status === change.to) {
    say(invocation, `The environment ${environment.id} is ${status} already.`);
    return 0;
  }
  const allowed: readonly EnvironmentStatus[] = change.from;
  if (!allowed.includes(status)) {
    throw new HoldfastError(
      "INPUT_INVALID",
      `The environment ${environment.id} is ${status}, so ${change.command} cannot be done.`,
      {
        facts: { environment: environment.id, status },
        ...(status === "paused" ? { remedy: `Resume it:  holdfast environment:resume ${environment.id}` } : {}),
      },
    );
  }
  await session.record(change.action, environment, {});
  await catalog.setEnvironmentStatus(project.id, environment.id, change.to);
  say(invocation, `The environment ${environment.id} ${change.done}.`);
  return 0;
}
