import type { ExpressionBuilder } from "kysely";
import type { EnvironmentId, ProjectId } from "../../base/index.ts";
import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import type { CatalogKind, CatalogQueries, CatalogTables } from "../catalog/catalog-schema.ts";
import type { ActivityListener } from "./activity-feed.ts";
import { cancelActivity } from "./cancel-activity.ts";
import { createActivity, type NewActivity } from "./create-activity.ts";
import type {
  Activity,
  ActivityId,
  ActivityLogEntry,
  Actor,
  ActivityResult,
  ActivityState,
  ActivityType,
} from "./activity.ts";
import { activityColumns, activityOf } from "./activity-row.ts";
import { type ListingPart, planListing } from "./listing-plan.ts";
import { removeEnded } from "./remove-ended.ts";
import { unindexed } from "./unindexed-column.ts";

/** Which activities to list; what is left out does not matter. */
export interface ActivityFilter {
  readonly environment?: EnvironmentId;
  readonly types?: readonly ActivityType[];
  readonly states?: readonly ActivityState[];
  readonly result?: ActivityResult;
  /** Only what was created before this moment. */
  readonly before?: Date;
  /** At most this many. */
  readonly limit: number;
}

/** The activities, as people and clients see them. */
export class ActivityStore {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /**
   * Creates an activity, its place in its environment's queue and its entry in the audit trail, all or none.
   * @returns the activity, and whether it is new: with a `onceKey` it may be there already
   * @throws HoldfastError ENVIRONMENT_NOT_FOUND, ENVIRONMENT_INACTIVE
   */
  create(request: NewActivity, actor: Actor): Promise<{ readonly activity: Activity; readonly created: boolean }> {
    return createActivity(this.#database, request, actor);
  }

  /**
   * A pending activity is cancelled at once. One in progress is asked to stop: its worker undoes what it began, unless it is
   * past the point where that can be done. Asking twice is no error.
   * @throws HoldfastError ACTIVITY_NOT_FOUND, ACTIVITY_NOT_CANCELLABLE
   */
  cancel(project: ProjectId, id: ActivityId, actor: Actor): Promise<Activity> {
    return cancelActivity(this.#database, project, id, actor);
  }

  /**
   * Calls `listener` whenever an activity or its log changed, until the function that is returned is called: with its name,
   * or with undefined when any may have. Changes of other processes are told as well, on SQLite within a fifth of a second.
   */
  watch(listener: ActivityListener): () => void {
    return this.#database.feed.subscribe(listener);
  }

  /** Newest first. */
  list(project: ProjectId, filter: ActivityFilter): Promise<readonly Activity[]> {
    return this.#database.use(async (queries) => {
      const parts = await Promise.all(
        planListing(filter).map((part) => listPart(queries, this.#database.kind, project, filter, part)),
      );
      return parts.length === 1 ? (parts[0] ?? []) : newestFirst(parts.flat()).slice(0, filter.limit);
    });
  }

  get(project: ProjectId, id: ActivityId): Promise<Activity | undefined> {
    return this.#database.use(async (queries) => {
      const row = await queries
        .selectFrom("activities")
        .select(activityColumns)
        .where("project", "=", project)
        .where("id", "=", id)
        .executeTakeFirst();
      return row === undefined ? undefined : activityOf(row);
    });
  }

  /** Those that are pending or in progress, of one environment or all; oldest first. */
  listOpen(project: ProjectId, environment?: EnvironmentId): Promise<readonly Activity[]> {
    return this.#database.use(async (queries) => {
      let query = queries
        .selectFrom("activities")
        .select(activityColumns)
        .where(unindexed(this.#database.kind, "project"), "=", project)
        .where("ended_at", "is", null)
        .orderBy(unindexed(this.#database.kind, "created_at"))
        .orderBy("id");
      if (environment !== undefined)
        query = query.where(unindexed(this.#database.kind, "environment"), "=", environment);
      return (await query.execute()).map(activityOf);
    });
  }

  /**
   * Removes the oldest activities that ended more than `keepMs` ago, with their logs; at most `limit`, never one that has not
   * ended. Returns how many there were.
   */
  removeEnded(options: { readonly keepMs: number; readonly limit: number }): Promise<number> {
    return removeEnded(this.#database, options);
  }

  /** A piece of the activity's log. An activity that has ended gets no more of it. */
  log(
    project: ProjectId,
    id: ActivityId,
    options: { readonly from: number; readonly limit: number },
  ): Promise<readonly ActivityLogEntry[]> {
    return this.#database.use(async (queries) => {
      const rows = await queries
        .selectFrom("activity_log")
        .select(["sequence", "at", "message"])
        .where("project", "=", project)
        .where("activity", "=", id)
        .where("sequence", ">=", options.from)
        .orderBy("sequence")
        .limit(options.limit)
        .execute();
      return rows.map(({ sequence, at, message }) => ({ sequence, at: new Date(at), message }));
    });
  }
}

async function listPart(
  queries: CatalogQueries,
  kind: CatalogKind,
  project: ProjectId,
  { environment, before, limit }: ActivityFilter,
  { types, states, results }: ListingPart,
): Promise<readonly Activity[]> {
  const conditions = (row: ExpressionBuilder<CatalogTables, "activities">) => {
    const all = [row("project", "=", project)];
    if (environment !== undefined) all.push(row("environment", "=", environment));
    // One environment's are found by that, whatever else is asked for.
    const column = <C extends "type" | "state" | "result">(name: C) =>
      environment === undefined ? row.ref(name) : unindexed(kind, name);
    if (types !== undefined) all.push(row.eb(column("type"), "in", types));
    if (states !== undefined) all.push(row.eb(column("state"), "in", states));
    if (results !== undefined) {
      all.push(results === null ? row.eb(column("result"), "is", null) : row.eb(column("result"), "in", results));
    }
    if (before !== undefined) all.push(row("created_at", "<", before.getTime()));
    return row.and(all);
  };
  const rows = await queries
    .selectFrom("activities")
    .select(activityColumns)
    .where(conditions)
    .orderBy("created_at", "desc")
    .orderBy("id", "desc")
    .limit(limit)
    .execute();
  return rows.map(activityOf);
}

function newestFirst(activities: readonly Activity[]): Activity[] {
  return activities.toSorted(
    (a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0),
  );
}
