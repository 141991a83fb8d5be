import { createHash } from "node:crypto";
import {
  base32,
  type BackupId,
  type EnvironmentId,
  type OperationId,
  type ProjectId,
  type SourceId,
} from "../../src/base/index.ts";
import type { Backup } from "../../src/engine/index.ts";
import { encodeBackup } from "../../src/control/catalog/backup-record.ts";
import type { ActivityRow, BackupRow } from "../../src/control/catalog/catalog-schema.ts";

// An installation as large as planned for (spec, section 8): ten projects of a hundred environments, a hundred backups and
// a thousand activities each. Everything is a function of its number.

export interface CatalogSize {
  readonly backups: number;
  readonly activities: number;
}

export const projects = Array.from({ length: 10 }, (_, n) => `project-${n}` as ProjectId);
export const environments = Array.from({ length: 100 }, (_, n) => `environment-${n}` as EnvironmentId);
const newestMs = Date.UTC(2026, 10, 25);
const stepMs = 31_000;

const idOf = (kind: string, n: number, length: number): string =>
  base32(createHash("sha256").update(`${kind} ${n}`).digest()).slice(0, length);
export const backupId = (n: number): BackupId => idOf("backup", n, 26) as BackupId;
export const activityId = (n: number): OperationId => idOf("activity", n, 12) as OperationId;
export const projectOf = (n: number): ProjectId => projects[n % projects.length] as ProjectId;
export const environmentOf = (n: number): EnvironmentId =>
  environments[Math.floor(n / projects.length) % environments.length] as EnvironmentId;

export function backupRow(n: number, size: CatalogSize): BackupRow {
  const createdAt = new Date(newestMs - (size.backups - n) * stepMs);
  const components = ["db", "orders", "cache", "media", "var", "code"].map((name) => ({
    source: `service:${name}` as SourceId,
    kind: "postgresql",
    path: `services/${name}`,
    engineVersion: "15.18",
    frozenAt: createdAt,
    freezeMs: 0.9,
    freezeFacts: { method: "pg_export_snapshot", filesChanged: 17 },
    files: 48_213,
    bytes: 212_000_000,
  }));
  const backup: Backup = {
    id: backupId(n),
    project: projectOf(n),
    environment: environmentOf(n),
    snapshot: createHash("sha256").update(String(n)).digest("hex"),
    createdAt,
    updatedAt: createdAt,
    expiresAt: new Date(createdAt.getTime() + 86_400_000),
    status: "CREATED",
    automated: n % 5 !== 0,
    safe: n % 2 === 0,
    restorable: true,
    commitId: "1f3c9ab0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6",
    hold: { drainMs: 38, heldMs: 212.5, requestsHeld: 31, longestWaitMs: 214, requestsFailed: 0 },
    skewMs: 12.25,
    durationMs: 9800,
    sizeBytes: 2_400_000_000,
    written: { bytesNew: 61_000_000, bytesStored: 14_000_000, blobsNew: 61 },
    components,
    warnings: [],
  };
  const { project, id, environment, status } = backup;
  const at = createdAt.getTime();
  return { project, id, environment, created_at: at, updated_at: at, status, record: encodeBackup(backup) };
}

/** Nine of ten are backups, one in a hundred failed; some of the newest are pending. */
export function activityRow(n: number, size: CatalogSize): ActivityRow {
  const at = newestMs - (size.activities - n) * (stepMs / 10);
  const isPending = n >= size.activities - 1000 && n % 7 === 0;
  // Of each environment, whose activities are a thousand apart.
  const nth = Math.floor(n / 1000);
  const failed = nth % 100 === 3;
  const type =
    nth % 10 === 4 ? "environment.backup.delete" : nth % 50 === 5 ? "environment.restore" : "environment.backup";
  const cancelled = nth % 500 === 9;
  const hasResult = !isPending && !cancelled;
  return {
    project: projectOf(n),
    id: activityId(n),
    environment: environmentOf(n),
    type,
    state: isPending ? "pending" : cancelled ? "cancelled" : "complete",
    result: hasResult ? (failed ? "failure" : "success") : null,
    outcome: isPending ? null : cancelled ? "superseded" : failed ? "failed" : "done",
    failure_code: failed ? "SERVICE_UNREACHABLE" : null,
    failure_message: failed ? 'PostgreSQL "db" does not answer at 127.0.0.1:5432.' : null,
    parameters: '{"safe":false,"automated":true,"expires_at":null}',
    payload: JSON.stringify({
      user: { id: "system", display_name: "Holdfast" },
      environment: { id: environmentOf(n), title: environmentOf(n) },
      backup_name: backupId(n),
      warnings: 0,
    }),
    timings: '{"wait":0.1,"execute":9.8,"prepare":4.1,"hold":0.2,"store":5.4}',
    text: `Holdfast created a live backup of ${environmentOf(n)}`,
    percent: isPending ? 0 : 100,
    created_by: "system",
    created_at: at,
    updated_at: at,
    started_at: isPending ? null : at,
    ended_at: isPending ? null : at + 9000,
    cancel_requested_at: null,
    once_key: null,
    priority: n % 3 === 0 ? 0 : 1,
    storage: projectOf(n),
    available_at: at,
    fence: isPending ? 0 : 1,
    losses: 0,
    worker: isPending ? null : "db-1:4711",
    place: isPending ? null : "here",
    lease_until: null,
    finished: 0,
  };
}
