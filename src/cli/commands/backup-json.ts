import { holdJson } from "../../control/index.ts";
import type { ListedBackup } from "../control-plane.ts";
import { roundMilliseconds } from "../output/machine-numbers.ts";
import { formatTimestamp } from "../output/moment.ts";

/** A backup as data: Upsun's fields first, then ours. Names are fixed; scripts depend on them. */
export function backupJson(backup: ListedBackup): Record<string, unknown> {
  return roundMilliseconds({
    id: backup.id,
    created_at: formatTimestamp(backup.createdAt),
    updated_at: formatTimestamp(backup.updatedAt),
    expires_at: backup.expiresAt === null ? null : formatTimestamp(backup.expiresAt),
    attributes: {},
    status: backup.status,
    index: null,
    commit_id: backup.commitId,
    environment: backup.environment,
    safe: backup.safe,
    size_of_volumes: backup.sizeBytes,
    size_used: backup.written.bytesStored,
    deployment: null,
    restorable: backup.restorable,
    automated: backup.automated,
    project: backup.project,
    snapshot: backup.snapshot,
    hold: holdJson(backup.hold),
    skew_ms: backup.skewMs,
    duration_ms: backup.durationMs,
    data_added: backup.written.bytesNew,
    data_added_packed: backup.written.bytesStored,
    replicas: backup.replicas,
    components: backup.components.map((component) => ({
      source: component.source,
      kind: component.kind,
      path: component.path,
      engine_version: component.engineVersion ?? null,
      frozen_at: component.frozenAt.toISOString(),
      freeze_ms: component.freezeMs,
      freeze_facts: component.freezeFacts,
      files: component.files,
      bytes: component.bytes,
    })),
    warnings: backup.warnings.map((warning) => ({
      source: warning.source,
      kind: warning.kind,
      message: warning.message,
      facts: warning.facts ?? {},
    })),
  });
}
