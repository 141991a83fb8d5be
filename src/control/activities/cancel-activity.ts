import { HoldfastError, type ProjectId } from "../../base/index.ts";
import { writeAuditEntry } from "../access/audit-trail.ts";
import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import type { Activity, ActivityId, Actor } from "./activity.ts";
import { activityColumns, activityOf } from "./activity-row.ts";

/** How long a lease must be over until a person may give up the activity, whose machine will not come back. */
const abandonedAfterMs = 600_000;

/**
 * A pending activity is cancelled at once. One in progress is asked to stop: its worker undoes what it began, unless it is
 * past the point where that can be done. Asking twice is no error.
 * @throws HoldfastError ACTIVITY_NOT_FOUND, ACTIVITY_NOT_CANCELLABLE
 */
export function cancelActivity(
  database: CatalogDatabase,
  project: ProjectId,
  id: ActivityId,
  actor: Actor,
): Promise<Activity> {
  return database.changeActivities(async (queries, tell) => {
    const now = await database.nowMs(queries);
    let find = queries
      .selectFrom("activities")
      .select([...activityColumns, "lease_until", "place"])
      .where("project", "=", project)
      .where("id", "=", id);
    if (database.kind === "postgresql") find = find.forUpdate();
    const row = await find.executeTakeFirst();
    if (row === undefined) throw activityNotFound(project, id);
    if (row.ended_at !== null) {
      throw new HoldfastError(
        "ACTIVITY_NOT_CANCELLABLE",
        `The activity ${id} cannot be cancelled in its current state: it is ${row.state}.`,
        { facts: { activity: id, state: row.state } },
      );
    }
    const isAbandoned = row.lease_until !== null && row.lease_until + abandonedAfterMs < now;
    // What was begun and given back has to be undone by the worker that takes it up.
    const isUntouched = row.state === "pending" && row.place === null;
    const change =
      isUntouched || isAbandoned
        ? {
            state: "cancelled",
            ended_at: now,
            lease_until: null,
            outcome: isAbandoned ? "lost" : "cancelled",
            result: isAbandoned ? "failure" : null,
            cancel_requested_at: now,
            updated_at: now,
          }
        : { cancel_requested_at: row.cancel_requested_at ?? now, available_at: now, updated_at: now };
    await queries.updateTable("activities").set(change).where("project", "=", project).where("id", "=", id).execute();
    await writeAuditEntry(queries, now, actor, {
      action: "activity.cancel",
      project,
      environment: row.environment,
      subject: id,
    });
    tell({ project, id, state: true });
    return activityOf({ ...row, ...change });
  });
}

export function activityNotFound(project: ProjectId, id: string): HoldfastError {
  return new HoldfastError("ACTIVITY_NOT_FOUND", `The project ${project} has no activity ${id}.`, {
    facts: { project, activity: id },
    remedy: "See which there are: holdfast activity:list",
  });
}
