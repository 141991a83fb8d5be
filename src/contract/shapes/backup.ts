import { z } from "zod";
import { id, links, named, timestamp } from "./shape.ts";

export const backup = named(
  "Backup",
  z.strictObject({
    id,
    created_at: timestamp,
    updated_at: timestamp,
    attributes: z.record(z.string(), z.string()),
    status: z.enum(["CREATED", "DELETING"]),
    expires_at: timestamp.nullable(),
    index: z.int().nullable(),
    commit_id: z.string(),
    environment: id,
    /** Taken under a hold; false for a live backup. */
    safe: z.boolean(),
    /** Bytes. */
    size_of_volumes: z.int().nullable(),
    /** Bytes that the repository grew by. */
    size_used: z.int().nullable(),
    deployment: z.string().nullable(),
    restorable: z.boolean(),
    automated: z.boolean(),
    _links: links,
  }),
);

const milliseconds = z.number().min(0);

/** What Holdfast knows of a backup beyond Upsun's fields. */
export const backupDetails = named(
  "BackupDetails",
  z.strictObject({
    id,
    /** Of the restic repository. */
    snapshot: z.string(),
    /** Null for a live backup. */
    hold: z
      .strictObject({
        drain_ms: milliseconds,
        held_ms: milliseconds,
        requests_held: z.int(),
        longest_wait_ms: milliseconds,
        requests_failed: z.int(),
      })
      .nullable(),
    skew_ms: milliseconds,
    duration_ms: milliseconds,
    data_added: z.int(),
    data_added_packed: z.int(),
    components: z.array(
      z.strictObject({
        source: z.string(),
        kind: z.string(),
        path: z.string(),
        engine_version: z.string().nullable(),
        frozen_at: timestamp,
        freeze_ms: milliseconds,
        files: z.int(),
        bytes: z.int(),
      }),
    ),
    warnings: z.array(
      z.strictObject({
        source: z.string().nullable(),
        kind: z.string(),
        message: z.string(),
      }),
    ),
    _links: links,
  }),
);

export const backupInput = named(
  "BackupInput",
  z.strictObject({
    /** False for a live backup. Default: true. */
    safe: z.boolean().optional(),
  }),
);

const resourcesInit = z.enum(["backup", "default", "minimum", "parent"]);

export const restoreInput = named(
  "RestoreInput",
  z.strictObject({
    /** The environment to restore to. Default: the backup's own. */
    environment_name: id.nullish(),
    /** Makes `environment_name` from this environment if it is not there. */
    branch_from: id.nullish(),
    /** Default: true. */
    restore_code: z.boolean().optional(),
    restore_resources: z.boolean().optional(),
    resources: z.strictObject({ init: resourcesInit.nullish() }).nullish(),
  }),
);
export type RestoreInput = z.output<typeof restoreInput>;
