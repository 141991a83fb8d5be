import { z } from "zod";
import { type BackupId, type EnvironmentId, HoldfastError, type ProjectId, type SourceId } from "../base/index.ts";
import type { SourceDescription, Warning } from "../component/index.ts";
import type { HexId } from "../repository/index.ts";
import type { Backup, BackupComponent } from "./catalog.ts";

/** What a backup says of itself: `/manifest.json` of its snapshot. The catalog's row can be made from it. */
export interface Manifest {
  readonly backup: Omit<Backup, "snapshot">;
  readonly descriptions: ReadonlyMap<SourceId, SourceDescription>;
}

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const date = z.iso.datetime({ offset: true }).transform((text) => new Date(text));

/** It is joined to the folder that a backup is written into. */
const isPathBelow = (path: string): boolean =>
  !path.includes("\0") && path.split("/").every((name) => name !== "" && name !== "." && name !== "..");

const component = z.object({
  source: z.string(),
  kind: z.string(),
  path: z.string().refine(isPathBelow, "leads out of the backup or names nothing"),
  engineVersion: z.string().optional(),
  frozenAt: date,
  freezeMs: z.number(),
  freezeFacts: z.record(z.string(), scalar),
  files: z.number(),
  bytes: z.number(),
  counts: z.record(z.string(), z.number()),
  fingerprints: z.record(z.string(), z.string()),
  facts: z.record(z.string(), z.unknown()),
});

const manifestSchema = z.object({
  version: z.literal(1),
  holdfast: z.string(),
  id: z.string(),
  project: z.string(),
  environment: z.object({ id: z.string(), type: z.string() }),
  createdAt: date,
  expiresAt: date.nullable(),
  automated: z.boolean(),
  safe: z.boolean(),
  restorable: z.boolean().default(true),
  commitId: z.string(),
  hold: z
    .object({
      drainMs: z.number(),
      heldMs: z.number(),
      requestsHeld: z.number(),
      longestWaitMs: z.number(),
      requestsFailed: z.number(),
    })
    .nullable(),
  skewMs: z.number(),
  durationMs: z.number(),
  sizeBytes: z.number(),
  written: z.object({ bytesNew: z.number(), bytesStored: z.number(), blobsNew: z.number() }),
  components: z.array(component),
  warnings: z.array(
    z.object({
      source: z.string().nullable(),
      kind: z.string(),
      message: z.string(),
      facts: z.record(z.string(), scalar.nullable()).optional(),
    }),
  ),
});

/** The manifest's bytes: JSON, indented, for people who look at it with restic. */
export function encodeManifest(manifest: Manifest, environmentType: string, programVersion: string): Buffer {
  const { backup } = manifest;
  const value: z.input<typeof manifestSchema> = {
    version: 1,
    holdfast: programVersion,
    id: backup.id,
    project: backup.project,
    environment: { id: backup.environment, type: environmentType },
    createdAt: backup.createdAt.toISOString(),
    expiresAt: backup.expiresAt?.toISOString() ?? null,
    automated: backup.automated,
    safe: backup.safe,
    restorable: backup.restorable,
    commitId: backup.commitId,
    hold: backup.hold,
    skewMs: backup.skewMs,
    durationMs: backup.durationMs,
    sizeBytes: backup.sizeBytes,
    written: backup.written,
    components: backup.components.map((one) => {
      const description = manifest.descriptions.get(one.source);
      return {
        ...one,
        frozenAt: one.frozenAt.toISOString(),
        counts: { ...description?.counts },
        fingerprints: { ...description?.fingerprints },
        facts: { ...description?.facts },
      };
    }),
    warnings: backup.warnings.map((warning) => ({ ...warning, facts: { ...warning.facts } })),
  };
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}

/** @throws HoldfastError REPOSITORY_UNSUPPORTED, REPOSITORY_DAMAGED */
export function decodeManifest(bytes: Uint8Array, snapshot: HexId): Manifest {
  const value = parseJson(bytes, snapshot);
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) {
    throw new HoldfastError(
      "REPOSITORY_UNSUPPORTED",
      `The manifest of snapshot ${snapshot} is not one that this version reads: ${z.prettifyError(parsed.error)}`,
      { facts: { snapshot }, remedy: "Restore it with a newer holdfast, or its files with restic." },
    );
  }
  const data = parsed.data;
  const descriptions = new Map<SourceId, SourceDescription>();
  const components = data.components.map((one): BackupComponent => {
    const { counts, fingerprints, facts, engineVersion, ...rest } = one;
    const source = one.source as SourceId;
    const version = engineVersion === undefined ? {} : { engineVersion };
    descriptions.set(source, { kind: one.kind, ...version, counts, fingerprints, facts });
    return { ...rest, ...version, source };
  });
  return {
    descriptions,
    backup: {
      id: data.id as BackupId,
      project: data.project as ProjectId,
      environment: data.environment.id as EnvironmentId,
      createdAt: data.createdAt,
      updatedAt: data.createdAt,
      expiresAt: data.expiresAt,
      status: "CREATED",
      automated: data.automated,
      safe: data.safe,
      restorable: data.restorable,
      commitId: data.commitId,
      hold: data.hold,
      skewMs: data.skewMs,
      durationMs: data.durationMs,
      sizeBytes: data.sizeBytes,
      written: data.written,
      components,
      warnings: data.warnings.map(({ facts, ...warning }) => ({
        ...warning,
        source: warning.source as SourceId | null,
        ...(facts === undefined ? {} : { facts }),
      })),
    },
  };
}

/**
 * The manifest of a backup of which something was lost: with this warning added, and not restorable unless it is said to be.
 * A manifest that cannot be read stays as it is.
 */
export function amendManifest(bytes: Buffer, warning: Warning, restorable: boolean, snapshot: HexId): Buffer {
  const value = parseJson(bytes, snapshot);
  const parsed = z.looseObject({ warnings: z.array(z.unknown()) }).safeParse(value);
  if (!parsed.success) return bytes;
  const warnings = [...parsed.data.warnings, { source: null, ...warning }];
  const amended = { ...parsed.data, warnings, ...(restorable ? {} : { restorable }) };
  return Buffer.from(`${JSON.stringify(amended, null, 2)}\n`);
}

function parseJson(bytes: Uint8Array, snapshot: HexId): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw new HoldfastError("REPOSITORY_DAMAGED", `The manifest of snapshot ${snapshot} is not JSON.`, {
      facts: { snapshot },
      cause: error,
    });
  }
}
