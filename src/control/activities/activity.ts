import type { EnvironmentId, OperationId, ProjectId } from "../../base/index.ts";

/** An activity's id names the engine's operation that does its work, too: its journal, its lock, its staged data. */
export type ActivityId = OperationId;

export const activityTypes = [
  "environment.backup",
  "environment.backup.delete",
  "environment.restore",
  "environment.activate",
  "environment.deactivate",
  "environment.pause",
  "environment.resume",
] as const;

export type ActivityType = (typeof activityTypes)[number];

export const activityStates = ["pending", "in_progress", "complete", "cancelled"] as const;

export type ActivityState = (typeof activityStates)[number];

export type ActivityResult = "success" | "failure";

/**
 * How it ended. `lost`: its workers died too often, and what they began has been undone. `skipped`: there was nothing to do
 * or it could not be begun, and nobody asked for it in person. `superseded`: a later one does the same work.
 */
export type ActivityOutcome = "done" | "failed" | "lost" | "cancelled" | "skipped" | "superseded";

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export type JsonObject = Readonly<Record<string, JsonValue>>;

/** Work on an environment that takes time, from the moment that it was asked for. */
export interface Activity {
  readonly id: ActivityId;
  readonly project: ProjectId;
  readonly environment: EnvironmentId;
  readonly type: ActivityType;
  readonly state: ActivityState;
  /** Null until it has ended; null as well if it ended without being begun. */
  readonly result: ActivityResult | null;
  readonly outcome: ActivityOutcome | null;
  readonly failure: { readonly code: string; readonly message: string; readonly remedy?: string } | null;
  /** What was asked for. */
  readonly parameters: JsonObject;
  /** What clients read: `backup_name`, `user`, `environment`. */
  readonly payload: JsonObject;
  /** Seconds by phase: "wait", "execute", "prepare", "hold", "store". */
  readonly timings: Readonly<Record<string, number>>;
  /** A sentence for people. */
  readonly text: string;
  /** 0 to 100. */
  readonly percent: number;
  /** A user's id, "system" for the schedule. */
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly startedAt: Date | null;
  /** When it was complete or cancelled. */
  readonly endedAt: Date | null;
  readonly cancelRequestedAt: Date | null;
}

/** One message of an activity's log, which may have several lines. */
export interface ActivityLogEntry {
  /** From 0 on, without gaps. */
  readonly sequence: number;
  readonly at: Date;
  readonly message: string;
}

/** Who did something, for the audit trail. */
export interface Actor {
  readonly id: string;
  readonly name: string;
  /** Where the request came from; null for the server itself and for commands in their own process. */
  readonly address: string | null;
  /** Of the HTTP request, as the server's log has it, too. */
  readonly requestId?: string;
}

export const hasEnded = ({ state }: Pick<Activity, "state">): boolean => state === "complete" || state === "cancelled";
