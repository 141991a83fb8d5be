import { type EnvironmentId, type Facts, HoldfastError, newOperationId, type ProjectId } from "../../base/index.ts";
import { writeAuditEntry } from "../access/audit-trail.ts";
import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import type { ActivityRow, CatalogKind, CatalogQueries } from "../catalog/catalog-schema.ts";
import type { Activity, ActivityId, ActivityType, Actor, JsonObject } from "./activity.ts";
import { activityColumns, activityOf } from "./activity-row.ts";
import { unindexed } from "./unindexed-column.ts";

/** Work that somebody asks for. */
export interface NewActivity {
  readonly project: ProjectId;
  readonly environment: EnvironmentId;
  readonly type: ActivityType;
  readonly parameters: JsonObject;
  readonly payload: JsonObject;
  /** A sentence for people. */
  readonly text: string;
  /** Names the repository that it works on: activities of one storage have a common cap. */
  readonly storage: string;
  /** If the environment has, or had, an activity of this key, nothing is created: a due time, a client's own key. */
  readonly onceKey?: string;
  /** Pending ones of the same type and environment that nobody asked for in person end as superseded. */
  readonly supersedes?: boolean;
  /** It is recorded as one that is not begun, with the reason. */
  readonly skipped?: string;
}

/** The statuses of an environment that an activity can be begun in. Undefined: any. */
const requiredStatuses: Readonly<Record<ActivityType, readonly string[] | undefined>> = {
  "environment.backup": ["active"],
  "environment.restore": ["active"],
  "environment.backup.delete": undefined,
  "environment.activate": ["inactive"],
  "environment.deactivate": ["active", "paused"],
  "environment.pause": ["active"],
  "environment.resume": ["paused"],
};

/** How many may wait or be in progress: more than people ask for, few enough that choosing the next one stays quick. */
export const mostOpenActivities = { inEnvironment: 100, inProject: 1000 } as const;

/** The user of activities that the schedule creates. */
export const systemActor: Actor = { id: "system", name: "Holdfast", address: null };

/**
 * Creates an activity, its place in its environment's queue and its entry in the audit trail, all or none.
 * @returns the activity, and whether it is new
 * @throws HoldfastError ENVIRONMENT_NOT_FOUND, ENVIRONMENT_INACTIVE, TOO_MANY_ACTIVITIES
 */
export function createActivity(
  database: CatalogDatabase,
  request: NewActivity,
  actor: Actor,
): Promise<{ readonly activity: Activity; readonly created: boolean }> {
  return database.changeActivities(async (queries, tell) => {
    const { project, environment } = request;
    const there = request.onceKey === undefined ? undefined : await withKey(queries, request, request.onceKey);
    if (there !== undefined) return { activity: there, created: false };
    const now = await database.nowMs(queries);
    const priority = await assertPossible(queries, request);
    if (request.supersedes === true) {
      for (const id of await supersede(queries, request, now)) tell({ project, id, state: true });
    }
    // What the schedule asks for is bounded by itself, and must not fail because of what people asked for.
    if (request.skipped === undefined && actor.id !== systemActor.id) {
      await assertRoom(queries, database.kind, request);
    }
    const row = newRow(request, actor, priority, await nextMoment(queries, database.kind, request, now));
    const inserted = await queries
      .insertInto("activities")
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    if (inserted.numInsertedOrUpdatedRows === 0n && request.onceKey !== undefined) {
      // On PostgreSQL another process has created it meanwhile.
      const other = await withKey(queries, request, request.onceKey);
      if (other !== undefined) return { activity: other, created: false };
    }
    if (request.skipped !== undefined) {
      const line = { project, activity: row.id, sequence: 0, at: now, message: request.skipped };
      await queries.insertInto("activity_log").values(line).execute();
    }
    await writeAudit(queries, row, actor);
    tell({ project, id: row.id as ActivityId, state: true });
    return { activity: activityOf({ ...row, environment }), created: true };
  });
}

async function withKey(queries: CatalogQueries, request: NewActivity, onceKey: string): Promise<Activity | undefined> {
  const row = await queries
    .selectFrom("activities")
    .select(activityColumns)
    .where("project", "=", request.project)
    .where("environment", "=", request.environment)
    .where("once_key", "=", onceKey)
    .executeTakeFirst();
  return row === undefined ? undefined : activityOf(row);
}

/** @throws HoldfastError TOO_MANY_ACTIVITIES */
async function assertRoom(queries: CatalogQueries, kind: CatalogKind, request: NewActivity): Promise<void> {
  const { project, environment } = request;
  if (kind === "postgresql") {
    // Of several at once each has to see those before it.
    await queries.selectFrom("projects").select("id").where("id", "=", project).forNoKeyUpdate().execute();
  }
  const { inProject, inEnvironment } = await queries
    .selectFrom("activities")
    .select(({ fn, eb }) => [
      fn.countAll<number>().as("inProject"),
      fn.count<number>(eb.case().when("environment", "=", environment).then(1).end()).as("inEnvironment"),
    ])
    .where(unindexed(kind, "project"), "=", project)
    .where("ended_at", "is", null)
    .executeTakeFirstOrThrow();
  const full = inEnvironment >= mostOpenActivities.inEnvironment ? `environment ${environment}` : `project ${project}`;
  if (inEnvironment < mostOpenActivities.inEnvironment && inProject < mostOpenActivities.inProject) return;
  throw new HoldfastError(
    "TOO_MANY_ACTIVITIES",
    `The ${full} has ${inEnvironment >= mostOpenActivities.inEnvironment ? inEnvironment : inProject} activities that have not ended; it takes no more.`,
    {
      facts: { project, environment, inEnvironment, inProject },
      remedy: "Wait until some have ended, or cancel some: holdfast activity:list, holdfast activity:cancel",
    },
  );
}

/** The activity's priority: production first. */
async function assertPossible(queries: CatalogQueries, request: NewActivity): Promise<number> {
  const { project, environment } = request;
  const row = await queries
    .selectFrom("environments")
    .select(["status", "type", "declared"])
    .where("project", "=", project)
    .where("id", "=", environment)
    .executeTakeFirst();
  if (row === undefined) {
    throw new HoldfastError("ENVIRONMENT_NOT_FOUND", `The project ${project} has no environment "${environment}".`, {
      facts: { project, environment },
    });
  }
  const required = requiredStatuses[request.type];
  if (request.skipped === undefined && required !== undefined && !required.includes(row.status)) {
    throw new HoldfastError(
      "ENVIRONMENT_INACTIVE",
      `The environment ${environment} is ${row.status}; this needs one that is ${required.join(" or ")}.`,
      { facts: { environment, status: row.status }, ...remedyFor(row.status, environment) },
    );
  }
  return row.type === "production" ? 0 : 1;
}

function remedyFor(status: string, environment: EnvironmentId): { readonly remedy?: string } {
  if (status === "inactive") return { remedy: `Activate it first: holdfast environment:activate ${environment}` };
  if (status === "paused") return { remedy: `Resume it first: holdfast environment:resume ${environment}` };
  return {};
}

async function supersede(queries: CatalogQueries, request: NewActivity, now: number): Promise<readonly ActivityId[]> {
  const rows = await queries
    .updateTable("activities")
    .set({ state: "cancelled", outcome: "superseded", ended_at: now, updated_at: now })
    .where("project", "=", request.project)
    .where("environment", "=", request.environment)
    .where("ended_at", "is", null)
    .where("state", "=", "pending")
    .where("type", "=", request.type)
    .where("created_by", "=", systemActor.id)
    .returning("id")
    .execute();
  return rows.map(({ id }) => id as ActivityId);
}

/** Now, but after what waits in the same environment already: those of one millisecond would change places. */
async function nextMoment(
  queries: CatalogQueries,
  kind: CatalogKind,
  request: NewActivity,
  now: number,
): Promise<number> {
  const row = await queries
    .selectFrom("activities")
    .select(({ fn }) => fn.max("created_at").as("last"))
    .where(unindexed(kind, "project"), "=", request.project)
    .where(unindexed(kind, "environment"), "=", request.environment)
    .where("ended_at", "is", null)
    .executeTakeFirst();
  return Math.max(now, (row?.last ?? 0) + 1);
}

function newRow(request: NewActivity, actor: Actor, priority: number, now: number): ActivityRow {
  const skipped = request.skipped !== undefined;
  return {
    project: request.project,
    id: newOperationId(),
    environment: request.environment,
    type: request.type,
    state: skipped ? "cancelled" : "pending",
    result: null,
    outcome: skipped ? "skipped" : null,
    failure_code: null,
    failure_message: null,
    parameters: JSON.stringify(request.parameters),
    payload: JSON.stringify(request.payload),
    timings: "{}",
    text: request.text,
    percent: 0,
    created_by: actor.id,
    created_at: now,
    updated_at: now,
    started_at: null,
    ended_at: skipped ? now : null,
    cancel_requested_at: null,
    once_key: request.onceKey ?? null,
    priority,
    storage: request.storage,
    available_at: now,
    fence: 0,
    losses: 0,
    worker: null,
    place: null,
    lease_until: null,
    finished: 0,
  };
}

function writeAudit(queries: CatalogQueries, row: ActivityRow, actor: Actor): Promise<void> {
  return writeAuditEntry(queries, row.created_at, actor, {
    action: row.type,
    project: row.project,
    environment: row.environment,
    subject: row.id,
    facts: primitives(JSON.parse(row.parameters) as JsonObject),
  });
}

const primitives = (values: JsonObject): Facts =>
  Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      typeof value === "object" && value !== null ? JSON.stringify(value) : value,
    ]),
  );
