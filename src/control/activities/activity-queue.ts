import { HoldfastError, type ProjectId } from "../../base/index.ts";
import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import type { ActivityRow, CatalogQueries } from "../catalog/catalog-schema.ts";
import { lockClaims } from "../catalog/claim-lock.ts";
import type { Activity, ActivityId, ActivityOutcome, ActivityResult, JsonObject } from "./activity.ts";
import { activityColumns, activityOf } from "./activity-row.ts";
import { type ClaimLimits, type Claimer, type OpenActivity, planClaim } from "./claim-plan.ts";

/** A worker's hold on an activity. The database's clock says when it is over. */
export interface Claim {
  readonly activity: Activity;
  /** Grows with each claim: of two workers that both think they have the activity, the higher one does. */
  readonly fence: number;
  /** Somebody else may have begun it: undo or finish that first. */
  readonly wasBegun: boolean;
  /** How many workers were lost over it. */
  readonly losses: number;
}

/** What a worker tells of its activity; what is left out stays as it is. */
export interface ClaimReport {
  /** Appended to the log, each a message of its own. */
  readonly messages?: readonly string[];
  readonly percent?: number;
  readonly timings?: Readonly<Record<string, number>>;
  /** Added to the payload. */
  readonly payload?: JsonObject;
}

export interface ClaimEnd extends ClaimReport {
  readonly result: ActivityResult;
  readonly outcome: ActivityOutcome;
  readonly failure?: { readonly code: string; readonly message: string };
}

export interface QueueWorker extends Claimer {
  /** Unique among all workers, for people. */
  readonly id: string;
}

export interface QueueOptions {
  readonly leaseMs: number;
  readonly limits: {
    /** Of a project that has no setting of its own, see `activityLimitSetting`. */
    readonly inProject: number;
    readonly inStorage: number;
  };
}

/** The project's setting of how many of its activities may be in progress at once: a whole number from 1 on. */
export const activityLimitSetting = "concurrent_activities";

/** Activities as workers see them: a queue whose entries are held on leases. */
export class ActivityQueue {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /** Takes the next activity; undefined if there is none that may begin. */
  claim(worker: QueueWorker, options: QueueOptions): Promise<Claim | undefined> {
    return this.#database.changeActivities(async (queries, tell) => {
      // Claims are made one after another, so that no two see the same free place.
      await lockClaims(queries, this.#database.kind);
      const now = await this.#database.nowMs(queries);
      let open = await openActivities(queries);
      const limits = await claimLimits(queries, options);
      for (;;) {
        const next = planClaim(open, now, limits, worker);
        if (next === undefined) return undefined;
        const claim = await this.#take(queries, next, worker, options.leaseMs, now);
        if (claim !== undefined) {
          tell({ project: claim.activity.project, id: claim.activity.id, state: true });
          return claim;
        }
        // Somebody is just ending or cancelling it.
        open = open.filter((activity) => activity !== next);
      }
    });
  }

  async #take(
    queries: CatalogQueries,
    next: OpenActivity,
    worker: QueueWorker,
    leaseMs: number,
    now: number,
  ): Promise<Claim | undefined> {
    let find = queries
      .selectFrom("activities")
      .select([...activityColumns, "fence", "losses", "lease_until"])
      .where("project", "=", next.project)
      .where("id", "=", next.id)
      .where("ended_at", "is", null)
      .where("state", "=", next.state);
    if (this.#database.kind === "postgresql") find = find.forUpdate().skipLocked();
    const row = await find.executeTakeFirst();
    // Renewed meanwhile.
    if (row === undefined || (row.lease_until !== null && row.lease_until > now)) return undefined;
    const started = row.started_at ?? now;
    const claimed = {
      state: "in_progress",
      started_at: started,
      updated_at: now,
      timings: JSON.stringify({
        ...(JSON.parse(row.timings) as JsonObject),
        wait: (started - row.created_at) / 1000,
      }),
      fence: row.fence + 1,
      losses: row.losses + (row.state === "in_progress" ? 1 : 0),
      worker: worker.id,
      place: worker.place,
      lease_until: now + leaseMs,
    };
    await queries
      .updateTable("activities")
      .set(claimed)
      .where("project", "=", row.project)
      .where("id", "=", row.id)
      .execute();
    return {
      activity: activityOf({ ...row, ...claimed }),
      fence: claimed.fence,
      wasBegun: row.fence > 0,
      losses: claimed.losses,
    };
  }

  /**
   * Holds the activity for another `leaseMs` from now on, and says whether somebody wants it stopped.
   * @throws HoldfastError LEASE_LOST
   */
  renew(claim: Claim, leaseMs: number): Promise<{ readonly cancelRequested: boolean }> {
    return this.#database.change(async (queries) => {
      const now = await this.#database.nowMs(queries);
      const row = await held(queries, claim, { lease_until: now + leaseMs });
      return { cancelRequested: row.cancel_requested_at !== null };
    });
  }

  /** @throws HoldfastError LEASE_LOST */
  report(claim: Claim, report: ClaimReport): Promise<void> {
    return this.#database.changeActivities(async (queries, tell) => {
      const now = await this.#database.nowMs(queries);
      await writeReport(queries, claim, report, now);
      tell({ project: claim.activity.project, id: claim.activity.id, state: false });
    });
  }

  /** The activity ends. @throws HoldfastError LEASE_LOST */
  end(claim: Claim, end: ClaimEnd): Promise<void> {
    return this.#database.changeActivities(async (queries, tell) => {
      const now = await this.#database.nowMs(queries);
      const row = await writeReport(queries, claim, end, now);
      const timings = JSON.parse(row.timings) as JsonObject;
      const cancelled = end.outcome === "cancelled" || end.outcome === "skipped" || end.outcome === "superseded";
      await held(queries, claim, {
        state: cancelled ? "cancelled" : "complete",
        result: end.result,
        outcome: end.outcome,
        failure_code: end.failure?.code ?? null,
        failure_message: end.failure?.message ?? null,
        percent: end.outcome === "done" ? 100 : row.percent,
        timings: JSON.stringify({ ...timings, execute: (now - (row.started_at ?? now)) / 1000 }),
        ended_at: now,
        updated_at: now,
        lease_until: null,
      });
      tell({ project: claim.activity.project, id: claim.activity.id, state: true });
    });
  }

  /**
   * Gives the activity back: it is pending again, where it was in the queue, and is taken up after `availableAfterMs`.
   * @param options.stays something of it may still be in this worker's state folder, so only workers there take it up
   * @throws HoldfastError LEASE_LOST
   */
  release(
    claim: Claim,
    options: { readonly availableAfterMs: number; readonly stays: boolean; readonly messages: readonly string[] },
  ): Promise<void> {
    return this.#database.changeActivities(async (queries, tell) => {
      const now = await this.#database.nowMs(queries);
      await writeReport(queries, claim, { messages: options.messages }, now);
      await held(queries, claim, {
        state: "pending",
        available_at: now + options.availableAfterMs,
        updated_at: now,
        lease_until: null,
        ...(options.stays ? {} : { place: null }),
      });
      tell({ project: claim.activity.project, id: claim.activity.id, state: true });
    });
  }

  /** Whether what the activity does has taken effect, so that only its end is missing. */
  isFinished(claim: Claim): Promise<boolean> {
    return this.#database.use(async (queries) => {
      const row = await queries
        .selectFrom("activities")
        .select("finished")
        .where("project", "=", claim.activity.project)
        .where("id", "=", claim.activity.id)
        .executeTakeFirst();
      return row?.finished === 1;
    });
  }

  /**
   * Ends all leases of this place: called by the only worker process that may use it, when it starts and so knows that
   * whoever held them is dead. Returns how many there were.
   */
  endLeases(place: string): Promise<number> {
    return this.#database.use(async (queries) => {
      const updated = await queries
        .updateTable("activities")
        .set({ lease_until: 0 })
        .where("ended_at", "is", null)
        .where("state", "=", "in_progress")
        .where("place", "=", place)
        .executeTakeFirst();
      return Number(updated.numUpdatedRows);
    });
  }
}

async function claimLimits(queries: CatalogQueries, { limits }: QueueOptions): Promise<ClaimLimits> {
  const rows = await queries
    .selectFrom("settings")
    .select(["project", "value"])
    .where("key", "=", activityLimitSetting)
    .execute();
  const set = new Map(rows.map(({ project, value }) => [project, JSON.parse(value) as unknown]));
  return {
    inStorage: limits.inStorage,
    inProject: (project) => {
      const value = set.get(project);
      return typeof value === "number" && value >= 1 ? value : limits.inProject;
    },
  };
}

async function openActivities(queries: CatalogQueries): Promise<readonly OpenActivity[]> {
  const rows = await queries
    .selectFrom("activities")
    .select([
      "project",
      "id",
      "environment",
      "state",
      "priority",
      "storage",
      "created_at",
      "available_at",
      "place",
      "lease_until",
    ])
    .where("ended_at", "is", null)
    .execute();
  return rows.map((row) => ({
    project: row.project,
    id: row.id,
    environment: row.environment,
    state: row.state as OpenActivity["state"],
    priority: row.priority,
    storage: row.storage,
    createdAtMs: row.created_at,
    availableAtMs: row.available_at,
    place: row.place,
    leaseUntilMs: row.lease_until,
  }));
}

type HeldRow = Pick<ActivityRow, "cancel_requested_at" | "timings" | "percent" | "started_at" | "payload">;

/** Changes the activity's row if the claim still holds. @throws HoldfastError LEASE_LOST */
async function held(
  queries: CatalogQueries,
  { activity, fence }: Claim,
  change: Partial<ActivityRow>,
): Promise<HeldRow> {
  const row = await queries
    .updateTable("activities")
    .set(change)
    .where("project", "=", activity.project)
    .where("id", "=", activity.id)
    .where("fence", "=", fence)
    .where("state", "=", "in_progress")
    .returning(["cancel_requested_at", "timings", "percent", "started_at", "payload"])
    .executeTakeFirst();
  if (row !== undefined) return row;
  throw leaseLost(activity.project, activity.id);
}

async function writeReport(queries: CatalogQueries, claim: Claim, report: ClaimReport, now: number): Promise<HeldRow> {
  const { project, id } = claim.activity;
  // First, since it keeps others from writing to the log.
  const row = await held(queries, claim, { updated_at: now });
  const merged = {
    ...(report.percent === undefined ? {} : { percent: report.percent }),
    ...(report.timings === undefined
      ? {}
      : { timings: JSON.stringify({ ...(JSON.parse(row.timings) as JsonObject), ...report.timings }) }),
    ...(report.payload === undefined
      ? {}
      : { payload: JSON.stringify({ ...(JSON.parse(row.payload) as JsonObject), ...report.payload }) }),
  };
  const messages = report.messages ?? [];
  if (messages.length > 0) {
    const last = await queries
      .selectFrom("activity_log")
      .select("sequence")
      .where("project", "=", project)
      .where("activity", "=", id)
      .orderBy("sequence", "desc")
      .limit(1)
      .executeTakeFirst();
    const first = last === undefined ? 0 : last.sequence + 1;
    await queries
      .insertInto("activity_log")
      .values(messages.map((message, index) => ({ project, activity: id, sequence: first + index, at: now, message })))
      .execute();
  }
  return Object.keys(merged).length === 0 ? row : held(queries, claim, merged);
}

function leaseLost(project: ProjectId, id: ActivityId): HoldfastError {
  return new HoldfastError("LEASE_LOST", `Another worker has taken up the activity ${id}, or it was given up.`, {
    facts: { project, activity: id },
    remedy: "Look at the machine's load and its connection to the catalog: this worker was not heard of for too long.",
  });
}
