import type { EnvironmentId, ProjectId } from "../../base/index.ts";
import type { ActivityRow } from "../catalog/catalog-schema.ts";
import type {
  Activity,
  ActivityId,
  ActivityOutcome,
  ActivityResult,
  ActivityState,
  ActivityType,
  JsonObject,
} from "./activity.ts";

/** What `activityOf` reads; the rest of the row is the queue's. */
export const activityColumns = [
  "project",
  "id",
  "environment",
  "type",
  "state",
  "result",
  "outcome",
  "failure_code",
  "failure_message",
  "parameters",
  "payload",
  "timings",
  "text",
  "percent",
  "created_by",
  "created_at",
  "updated_at",
  "started_at",
  "ended_at",
  "cancel_requested_at",
] as const;

export function activityOf(row: Pick<ActivityRow, (typeof activityColumns)[number]>): Activity {
  const { failure_remedy: remedy, ...payload } = JSON.parse(row.payload) as JsonObject;
  return {
    id: row.id as ActivityId,
    project: row.project as ProjectId,
    environment: row.environment as EnvironmentId,
    type: row.type as ActivityType,
    state: row.state as ActivityState,
    result: row.result as ActivityResult | null,
    outcome: row.outcome as ActivityOutcome | null,
    failure:
      row.failure_code === null || row.failure_message === null
        ? null
        : {
            code: row.failure_code,
            message: row.failure_message,
            ...(typeof remedy === "string" ? { remedy } : {}),
          },
    parameters: JSON.parse(row.parameters) as JsonObject,
    payload,
    timings: JSON.parse(row.timings) as Record<string, number>,
    text: row.text,
    percent: row.percent,
    createdBy: row.created_by,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
    startedAt: dateOf(row.started_at),
    endedAt: dateOf(row.ended_at),
    cancelRequestedAt: dateOf(row.cancel_requested_at),
  };
}

const dateOf = (ms: number | null): Date | null => (ms === null ? null : new Date(ms));
