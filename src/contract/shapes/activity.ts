import { z } from "zod";
import { id, links, named, timestamp } from "./shape.ts";

export const activityState = z.enum(["pending", "in_progress", "complete", "cancelled"]);
export const activityResult = z.enum(["success", "failure"]);

export const activity = named(
  "Activity",
  z.strictObject({
    id,
    created_at: timestamp,
    updated_at: timestamp,
    /** "environment.backup", "environment.restore", ... */
    type: z.string(),
    /** What was asked for. */
    parameters: z.record(z.string(), z.unknown()),
    project: id,
    environments: z.array(id),
    state: activityState,
    /** Null until it is complete. */
    result: activityResult.nullable(),
    failure_reason: z.enum(["error", "shell"]).nullable(),
    started_at: timestamp.nullable(),
    completed_at: timestamp.nullable(),
    cancelled_at: timestamp.nullable(),
    expires_at: timestamp.nullable(),
    completion_percent: z.int().min(0).max(100),
    /** Seconds by phase. */
    timings: z.record(z.string(), z.number()),
    /** Always empty; the log is behind the link `log`. */
    log: z.string(),
    /** `user`, `environment`, `backup_name`, and `failure`, `outcome` once it has ended. */
    payload: z.record(z.string(), z.unknown()),
    /** As HTML. */
    description: z.string(),
    /** As plain text. */
    text: z.string(),
    commands: z.array(z.strictObject({ app: z.string(), type: z.string(), exit_code: z.int() })),
    _links: links,
  }),
);
export type ActivityShape = z.output<typeof activity>;

/** One line of an activity's log. The last one has `seal`; after it nothing more comes. */
export const logLine = named(
  "LogLine",
  z.strictObject({
    /** Number of the line; the next request may start at the one after it. */
    _id: z.string(),
    data: z.strictObject({ timestamp, message: z.string() }),
    seal: z.boolean().optional(),
  }),
);

/** What an operation answers that goes on as an activity. */
export const accepted = named(
  "Accepted",
  z.strictObject({
    status: z.string(),
    code: z.int(),
    _embedded: z.strictObject({
      /** Exactly one. */
      activities: z.array(activity).length(1),
    }),
  }),
);
