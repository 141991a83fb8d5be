import { type Command, InvalidArgumentError, Option } from "commander";
import { HoldfastError, type OperationId } from "../../base/index.ts";
import { chooseEnvironment } from "../choose.ts";
import type { ActivityListFilter, ControlPlane, ListedActivity } from "../control-plane.ts";
import { type Invocation, say, sayDetail } from "../offline/session.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import { formatTimestamp } from "../output/moment.ts";
import { printable } from "../output/printable.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
import { activityColumns, activityJson, defaultActivityColumns } from "./activity-columns.ts";
import { addPropertyOptions, type PropertyOptions, renderProperties } from "./property-output.ts";

/** Which activities a command means when none is named. */
interface FilterOptions {
  readonly type: readonly string[];
  readonly excludeType: readonly string[];
  readonly state: readonly string[];
  readonly result?: "success" | "failure";
  readonly incomplete: boolean;
  readonly all: boolean;
}

interface ListOptions extends FilterOptions, DataOptions {
  readonly limit: number;
  readonly start?: Date;
}

const openStates = ["pending", "in_progress"];
/** The API's. */
const mostListed = 1000;

export function registerActivityCommands(program: Command, run: RunCommand): void {
  addDataOptions(
    addFilterOptions(
      program.command("activity:list").alias("activities").description("List what was asked for, newest first"),
    )
      .option("--limit <count>", "at most so many", countOf, 10)
      .option("--start <time>", "only what is older than this moment", momentOf),
  ).action(run((invocation, options: ListOptions) => list(invocation, options)));
  addPropertyOptions(
    addFilterOptions(
      program
        .command("activity:get")
        .description("Show an activity, by default the newest")
        .argument("[id]", "the activity"),
    ),
    "payload.backup_name",
  ).action(run((invocation, options: FilterOptions & PropertyOptions, id?: string) => get(invocation, options, id)));
  addFilterOptions(
    program
      .command("activity:log")
      .description("Print an activity's log, by default the newest's, and follow it until it ends")
      .argument("[id]", "the activity"),
  )
    .option("--refresh <seconds>", "0 prints what is there and ends; anything else follows", Number, 1)
    .option("--timestamps", "begin each message with its moment", false)
    .action(run((invocation, options: LogOptions, id?: string) => log(invocation, options, id)));
  addFilterOptions(
    program
      .command("activity:cancel")
      .description("Cancel an activity, by default the newest that has not ended; what it began is undone")
      .argument("[id]", "the activity"),
  ).action(run((invocation, options: FilterOptions, id?: string) => cancel(invocation, options, id)));
}

function addFilterOptions(command: Command): Command {
  return command
    .option("-t, --type <type>", "of this type: environment.backup (may be repeated)", collect, [])
    .option("-x, --exclude-type <type>", "not of this type (may be repeated)", collect, [])
    .option(
      "--state <state>",
      "in this state: pending, in_progress, complete, cancelled (may be repeated)",
      collect,
      [],
    )
    .addOption(new Option("--result <result>", "with this result").choices(["success", "failure"]))
    .option("-i, --incomplete", "only what has not ended", false)
    .option("-a, --all", "of all environments of the project", false);
}

/** Upsun's commands take several values in one, too. */
const collect = (text: string, before: readonly string[]): readonly string[] => [
  ...before,
  ...text.split(",").map((one) => one.trim()),
];

function countOf(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= mostListed) return count;
  throw new InvalidArgumentError(`It is a number from 1 to ${mostListed}.`);
}

function momentOf(text: string): Date {
  const moment = new Date(text);
  if (!Number.isNaN(moment.getTime())) return moment;
  throw new InvalidArgumentError("Write it as 2026-11-21T04:12:00Z.");
}

/** Without --all and --environment: of the whole project as well, since an activity is no matter of the default environment. */
async function filterOf(
  invocation: Invocation,
  plane: ControlPlane,
  options: FilterOptions,
  more: { readonly limit: number; readonly before?: Date },
): Promise<ActivityListFilter> {
  const { environment: named } = invocation.options;
  const environment =
    options.all || named === undefined
      ? undefined
      : chooseEnvironment({ id: plane.project.id, environments: await plane.environments() }, named).id;
  return {
    environment,
    types: options.type,
    states: options.incomplete ? openStates : options.state,
    result: options.result,
    before: more.before,
    limit: more.limit,
  };
}

/** What is not excluded, as many as asked for. */
async function find(
  plane: ControlPlane,
  filter: ActivityListFilter,
  excluded: readonly string[],
): Promise<readonly ListedActivity[]> {
  if (excluded.length === 0) return plane.activities(filter);
  const found: ListedActivity[] = [];
  let { before } = filter;
  for (;;) {
    const page = await plane.activities({ ...filter, before, limit: mostListed });
    found.push(...page.filter(({ type }) => !excluded.includes(type)));
    const last = page.at(-1);
    if (found.length >= filter.limit || last === undefined || page.length < mostListed) break;
    before = last.createdAt;
  }
  return found.slice(0, filter.limit);
}

async function list(invocation: Invocation, options: ListOptions): Promise<number> {
  await using plane = await openControlPlane(invocation);
  const { limit, start: before } = options;
  const filter = await filterOf(invocation, plane, options, { limit, ...(before === undefined ? {} : { before }) });
  const rows = await find(plane, filter, options.excludeType);
  const table = { columns: activityColumns, defaultColumns: defaultActivityColumns, rows, json: activityJson };
  const text = renderData(table, options);
  if (rows.length === 0) {
    if (options.format === "json") invocation.host.stdout.write(text);
    say(invocation, "No activities found");
    return 1;
  }
  if (options.format === undefined || options.format === "table") {
    const where = filter.environment === undefined ? "" : `, environment ${filter.environment}`;
    say(invocation, `Activities on the project ${plane.project.title} (${plane.project.id})${where}:`);
  }
  invocation.host.stdout.write(text);
  return 0;
}

/** The one that is named, else the newest that fits. @throws HoldfastError ACTIVITY_NOT_FOUND */
async function chosen(
  invocation: Invocation,
  plane: ControlPlane,
  options: FilterOptions,
  id: string | undefined,
): Promise<ListedActivity> {
  if (id !== undefined) return plane.activity(id as OperationId);
  const [newest] = await find(plane, await filterOf(invocation, plane, options, { limit: 1 }), options.excludeType);
  if (newest === undefined) {
    throw new HoldfastError("ACTIVITY_NOT_FOUND", "No activities found.", {
      remedy: "See which there are:  holdfast activity:list",
    });
  }
  sayDetail(invocation, `The newest activity: ${newest.id}`);
  return newest;
}

async function get(
  invocation: Invocation,
  options: FilterOptions & PropertyOptions,
  id: string | undefined,
): Promise<number> {
  await using plane = await openControlPlane(invocation);
  const activity = await chosen(invocation, plane, options, id);
  invocation.host.stdout.write(renderProperties("An activity", activityJson(activity), options));
  return 0;
}

interface LogOptions extends FilterOptions {
  readonly refresh: number;
  readonly timestamps: boolean;
}

async function log(invocation: Invocation, options: LogOptions, id: string | undefined): Promise<number> {
  const { stdout } = invocation.host;
  await using plane = await openControlPlane(invocation);
  const activity = await chosen(invocation, plane, options, id);
  say(invocation, `Log of the activity ${activity.id} (${activity.text}):`);
  for await (const { at, message } of plane.activityLog(activity.id, { follow: options.refresh !== 0 })) {
    const lines = message.replace(/\n$/, "").split("\n").map(printable);
    const moment = options.timestamps ? `[${formatTimestamp(at)}] ` : "";
    stdout.write(`${moment}${lines.join("\n")}\n`);
  }
  return 0;
}

async function cancel(invocation: Invocation, options: FilterOptions, id: string | undefined): Promise<number> {
  await using plane = await openControlPlane(invocation);
  const activity = await chosen(invocation, plane, { ...options, incomplete: true }, id);
  say(invocation, `Cancelling the activity ${activity.id} (${activity.text}).`);
  if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;
  const { state } = await plane.cancelActivity(activity.id);
  say(
    invocation,
    state === "cancelled"
      ? `The activity ${activity.id} has been cancelled.`
      : `The activity ${activity.id} is to stop; what it began is undone. See:  holdfast activity:log ${activity.id}`,
  );
  return 0;
}
