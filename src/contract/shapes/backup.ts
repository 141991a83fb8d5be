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

const facts = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
const milliseconds = z.number().min(0);

/** What Holdfast knows of a backup beyond Upsun's fields. */
export const backupDetails = named(
  "BackupDetails",
  backup.extend({
    project: id,
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
    blobs_added: z.int(),
    /** Where it is kept. */
    replicas: z.array(z.string()),
    components: z.array(
      z.strictObject({
        source: z.string(),
        kind: z.string(),
        path: z.string(),
        engine_version: z.string().nullable(),
        frozen_at: timestamp,
        freeze_ms: milliseconds,
        freeze_facts: facts,
        files: z.int(),
        bytes: z.int(),
      }),
    ),
    warnings: z.array(
      z.strictObject({
        source: z.string().nullable(),
        kind: z.string(),
        message: z.string(),
        facts,
      }),
    ),
  }),
);

export const backupInput = named(
  "BackupInput",
  z.strictObject({
    /** False for a live backup. Default: true. */
    safe: z.boolean().optional(),
  }),
);

/** What a backup takes in the repository; null if that does not know it. */
export const backupSizes = named(
  "BackupSizes",
  z.strictObject({
    sizes: z
      .strictObject({
        /** Of its files and dumps. */
        bytes: z.int(),
        /** Of what they are stored as, other backups' share included. */
        bytes_stored: z.int(),
        /** What deleting it would free. */
        bytes_unique: z.int(),
        /** By how much the repository grew with it. */
        bytes_new: z.int(),
      })
      .nullable(),
  }),
);

/** What lies in one directory of a backup, or one file. */
export const backupFiles = named(
  "BackupFiles",
  z.array(
    z.strictObject({
      /** The last name of its path, in base64: names need not be texts. */
      name_base64: z.string(),
      type: z.string(),
      /** Permission bits. */
      mode: z.int(),
      uid: z.int(),
      gid: z.int(),
      user: z.string().nullable(),
      group: z.string().nullable(),
      /** Bytes, of files. */
      size: z.int().nullable(),
      modified_at: timestamp,
      links: z.int(),
      link_target_base64: z.string().nullable(),
    }),
  ),
);

/** What went into an archive. */
export const archiveSummary = named(
  "ArchiveSummary",
  z.strictObject({
    entries: z.int(),
    bytes: z.int(),
    /** Paths in base64 that an archive has no place for: sockets. The first 100. */
    skipped_base64: z.array(z.string()),
    skipped: z.int(),
  }),
);

/** What a backup would do, of which a person should know before. */
export const backupPlan = named(
  "BackupPlan",
  z.strictObject({
    /** The manual backups that go once it is complete. */
    replaces: z.array(id),
    /** How many manual ones are kept; null for no limit. */
    manual_count: z.int().nullable(),
    profile: z.string(),
  }),
);

/** What a restore would do, by the catalog and the configuration alone. */
export const restorePlan = named(
  "RestorePlan",
  z.strictObject({
    backup: id,
    environment: id,
    parts: z.array(z.strictObject({ source: z.string(), path: z.string().nullable() })),
    /** In the backup only: they are left out. */
    missing_in_environment: z.array(z.string()),
    /** In the environment only: they stay as they are. */
    missing_in_backup: z.array(z.string()),
    /** Of the code that comes back; "" if none does. */
    commit_id: z.string(),
    /** Whether requests are held meanwhile. */
    has_gateway: z.boolean(),
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
    /** Only these components, or paths in them: `{"source": "mount:app/media", "path": "2026"}`. */
    only: z
      .array(z.strictObject({ source: z.string().max(300), path: z.string().max(4096).optional() }))
      .min(1)
      .max(1000)
      .optional(),
  }),
);
export type RestoreInput = z.output<typeof restoreInput>;
