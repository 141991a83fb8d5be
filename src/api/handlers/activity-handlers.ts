import { type BackupId, HoldfastError, isHoldfastError } from "../../base/index.ts";
import {
  type Activity,
  type ActivityFilter,
  type ActivityId,
  activityStates,
  activityTypes,
  type CatalogEnvironment,
  type EnvironmentAction,
  hasEnded,
} from "../../control/index.ts";
import type { environmentOperations, Operations, Query, RestoreInput, Result } from "../../contract/index.ts";
import { activityLines } from "../activity-lines.ts";
import type { Caller, ProjectView } from "../caller.ts";
import type { Handlers } from "../operation-handlers.ts";
import { isRestorable, requestRestore } from "./backup-handlers.ts";
import { accepted, representActivity } from "../representation/activity-representation.ts";
import type { ApiServices } from "../server-facts.ts";

type Names = Extract<
  keyof typeof environmentOperations,
  | "listActivities"
  | "getActivity"
  | "cancelActivity"
  | "getActivityLog"
  | "restoreActivity"
  | "listEnvironmentActivities"
  | "getEnvironmentActivity"
  | "cancelEnvironmentActivity"
  | "getEnvironmentActivityLog"
  | "restoreEnvironmentActivity"
>;

const defaultCount = 10;

export const activityHandlers: Handlers<Names> = {
  listActivities: async ({ caller, services, parameters, query }) => {
    const view = await caller.project(parameters.project);
    const environments = await services.catalog.projects.environments(view.id);
    const visible = environments.filter((environment) => view.mayIn(environment, "view"));
    const filter = filterOf(query);
    if (filter === undefined) return [];
    // One that sees all needs no list of names.
    const filters =
      visible.length === environments.length
        ? [filter]
        : visible.map((environment) => ({ ...filter, environment: environment.id }));
    const found = (await Promise.all(filters.map((one) => services.catalog.activities.list(view.id, one)))).flat();
    const newest = found
      .toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : -1))
      .slice(0, filter.limit);
    return showAll(services, view, environments, newest);
  },

  getActivity: async (request) => showOne(request.services, await find(request, "view")),
  restoreActivity: (request) => restore(request, request.body),
  cancelActivity: async (request) => cancel(request.services, await find(request, "cancelActivity"), request.caller),
  getActivityLog: async (request) => logOf(request, await find(request, "view")),

  listEnvironmentActivities: async ({ caller, services, parameters, query }) => {
    const { view, environment } = await caller.environment(parameters.project, parameters.environment);
    const filter = filterOf(query);
    if (filter === undefined) return [];
    const found = await services.catalog.activities.list(view.id, { ...filter, environment: environment.id });
    return showAll(services, view, [environment], found);
  },

  getEnvironmentActivity: async (request) => showOne(request.services, await find(request, "view")),
  restoreEnvironmentActivity: (request) => restore(request, request.body),
  cancelEnvironmentActivity: async (request) =>
    cancel(request.services, await find(request, "cancelActivity"), request.caller),
  getEnvironmentActivityLog: async (request) => logOf(request, await find(request, "view")),
};

/** Undefined if nothing can fit: other states and types than ours are Upsun's, and there are none of them. */
function filterOf(query: Query<Operations["listActivities"]>): ActivityFilter | undefined {
  const types = listOf(query.type);
  const states = listOf(query.state);
  const results = listOf(query.result);
  const knownTypes = activityTypes.filter((type) => types.includes(type));
  const knownStates = activityStates.filter((state) => states.includes(state));
  if ((types.length > 0 && knownTypes.length === 0) || (states.length > 0 && knownStates.length === 0))
    return undefined;
  const [result] = results;
  return {
    limit: query.count ?? defaultCount,
    ...(types.length === 0 ? {} : { types: knownTypes }),
    ...(states.length === 0 ? {} : { states: knownStates }),
    // Both are as good as none.
    ...(result === undefined || new Set(results).size > 1 ? {} : { result }),
    ...(query.starts_at === undefined ? {} : { before: new Date(query.starts_at) }),
  };
}

const listOf = <T>(values: T | readonly T[] | undefined): readonly T[] =>
  values === undefined ? [] : Array.isArray(values) ? (values as readonly T[]) : [values as T];

interface Found {
  readonly view: ProjectView;
  readonly environment: CatalogEnvironment;
  readonly activity: Activity;
}

interface FindRequest {
  readonly caller: Caller;
  readonly services: ApiServices;
  readonly parameters: { readonly project: string; readonly environment?: string; readonly activity: string };
}

/** @throws HoldfastError PROJECT_NOT_FOUND, ENVIRONMENT_NOT_FOUND, ACTIVITY_NOT_FOUND, ACCESS_DENIED */
async function find(request: FindRequest, action: EnvironmentAction): Promise<Found> {
  const { caller, services, parameters } = request;
  const view = await caller.project(parameters.project);
  const activity = await services.catalog.activities.get(view.id, parameters.activity as ActivityId);
  if (activity === undefined || (parameters.environment ?? activity.environment) !== activity.environment) {
    throw new HoldfastError("ACTIVITY_NOT_FOUND", `There is no activity ${JSON.stringify(parameters.activity)} here.`);
  }
  const { environment } = await caller.environment(parameters.project, activity.environment, action);
  return { view, environment, activity };
}

async function showOne(
  services: ApiServices,
  { view, environment, activity }: Found,
): Promise<Result<Operations["getActivity"]>> {
  const [shown] = await showAll(services, view, [environment], [activity]);
  if (shown === undefined) throw new TypeError("One activity is shown as one.");
  return shown;
}

/** @param environments those of the activities; what can be done with others' is not offered */
async function showAll(
  services: ApiServices,
  view: ProjectView,
  environments: readonly CatalogEnvironment[],
  activities: readonly Activity[],
): Promise<Result<Operations["listActivities"]>> {
  const byId = new Map(environments.map((environment) => [environment.id, environment]));
  const made = activities.map(backupMadeBy);
  const backups = await services.catalog.backupsOf(
    view.id,
    made.filter((id) => id !== undefined),
  );
  return activities.map((activity, index) => {
    const environment = byId.get(activity.environment);
    const id = made[index];
    const backup = id === undefined ? undefined : backups.get(id);
    return representActivity(activity, {
      cancel: environment !== undefined && view.mayIn(environment, "cancelActivity"),
      restore:
        backup !== undefined &&
        isRestorable(backup) &&
        environment?.declared === true &&
        view.mayIn(environment, "restore"),
    });
  });
}

/** The backup that an activity has made; undefined if it is none that does, or has failed. */
function backupMadeBy({ type, result, payload }: Activity): BackupId | undefined {
  const name = payload["backup_name"];
  return type === "environment.backup" && result === "success" && typeof name === "string"
    ? (name as BackupId)
    : undefined;
}

async function restore(request: FindRequest, input: RestoreInput): Promise<Result<Operations["restoreActivity"]>> {
  const { environment, activity } = await find(request, "restore");
  const backup = backupMadeBy(activity);
  if (backup === undefined) {
    throw new HoldfastError(
      "BACKUP_NOT_FOUND",
      `The activity ${activity.id} has made no backup that could be restored.`,
      {
        facts: { activity: activity.id, type: activity.type, state: activity.state },
      },
    );
  }
  const named = { project: request.parameters.project, environment: environment.id, backup };
  return requestRestore(request.services, request.caller, named, input);
}

async function cancel(
  services: ApiServices,
  { view, activity }: Found,
  caller: Caller,
): Promise<Result<Operations["cancelActivity"]>> {
  const cancelled = await services.catalog.activities.cancel(view.id, activity.id, caller.author);
  return accepted(cancelled, { cancel: !hasEnded(cancelled) });
}

function logOf(
  request: FindRequest & {
    readonly query: Query<Operations["getActivityLog"]>;
    readonly signal: AbortSignal;
  },
  { view, activity }: Found,
): Result<Operations["getActivityLog"]> {
  const { start_at: from, max_items: most, max_delay: seconds } = request.query;
  return activityLines(request.services.catalog.activities, view.id, activity.id, {
    from: from ?? 0,
    maxLines: most === undefined || most <= 0 ? Infinity : most,
    maxWaitMs: seconds === undefined || seconds < 0 ? Infinity : seconds * 1000,
    signal: request.signal,
    mayRead: async () => {
      const caller = await request.caller.now();
      return caller !== undefined && (await mayStillSee({ ...request, caller }));
    },
  });
}

async function mayStillSee(request: FindRequest): Promise<boolean> {
  try {
    await find(request, "view");
    return true;
  } catch (error) {
    if (isHoldfastError(error) && (error.info.http === 403 || error.info.http === 404)) return false;
    throw error;
  }
}
