import type { BackupId, EnvironmentId, ProjectId, SourceId } from "../../base/index.ts";
import type { Received } from "../../client/index.ts";
import type { Operations } from "../../contract/index.ts";
import type { JsonObject, RestoreReportJson } from "../../control/index.ts";
import type { ArchiveSummary, Backup, BackupFile, RestoreReport } from "../../engine/index.ts";
import type { ListedBackup } from "../control-plane.ts";
import { dateOf } from "./activity-answers.ts";

type Details = Received<Operations["getBackupDetails"]>;
type HoldAnswer = Details["hold"];

/** A backup as the server's catalog has it, from its answer. */
export function backupOf(answer: Details): ListedBackup {
  return {
    id: answer.id as BackupId,
    project: answer.project as ProjectId,
    environment: answer.environment as EnvironmentId,
    snapshot: answer.snapshot,
    createdAt: new Date(answer.created_at),
    updatedAt: new Date(answer.updated_at),
    expiresAt: dateOf(answer.expires_at),
    status: answer.status,
    automated: answer.automated,
    safe: answer.safe,
    restorable: answer.restorable,
    commitId: answer.commit_id,
    hold: holdOf(answer.hold),
    skewMs: answer.skew_ms,
    durationMs: answer.duration_ms,
    sizeBytes: answer.size_of_volumes ?? 0,
    written: {
      bytesNew: answer.data_added,
      bytesStored: answer.data_added_packed,
      blobsNew: answer.blobs_added,
    },
    components: answer.components.map((component) => ({
      source: component.source as SourceId,
      kind: component.kind,
      path: component.path,
      ...(component.engine_version === null ? {} : { engineVersion: component.engine_version }),
      frozenAt: new Date(component.frozen_at),
      freezeMs: component.freeze_ms,
      freezeFacts: component.freeze_facts as Backup["components"][number]["freezeFacts"],
      files: component.files,
      bytes: component.bytes,
    })),
    warnings: answer.warnings.map(({ source, ...warning }) => ({ ...warning, source: source as SourceId | null })),
    replicas: answer.replicas,
  };
}

const holdOf = (hold: HoldAnswer): Backup["hold"] =>
  hold === null
    ? null
    : {
        drainMs: hold.drain_ms,
        heldMs: hold.held_ms,
        requestsHeld: hold.requests_held,
        longestWaitMs: hold.longest_wait_ms,
        requestsFailed: hold.requests_failed,
      };

/** What a restore did, from its activity's payload; undefined if that does not say, as of one that another worker finished. */
export function restoreReportOf(payload: JsonObject, backup: Backup): RestoreReport | undefined {
  const restore = payload["restore"] as unknown as RestoreReportJson | undefined;
  if (restore === undefined) return undefined;
  return {
    backup,
    hold: holdOf(restore.hold),
    durationMs: restore.duration_ms,
    components: restore.components.map(({ source, files, bytes, reused_bytes, swap_ms, swap_facts }) => ({
      source,
      stage: { files, bytes, reusedBytes: reused_bytes },
      ...(swap_ms === null ? {} : { swap: { durationMs: swap_ms, facts: swap_facts ?? {} } }),
    })),
    warnings: restore.warnings,
  };
}

export const fileOf = (answer: Received<Operations["listBackupFiles"]>[number]): BackupFile => ({
  name: Buffer.from(answer.name_base64, "base64"),
  type: answer.type,
  mode: answer.mode,
  uid: answer.uid,
  gid: answer.gid,
  user: answer.user ?? undefined,
  group: answer.group ?? undefined,
  sizeBytes: answer.size ?? undefined,
  modifiedAt: new Date(answer.modified_at),
  links: answer.links,
  linkTarget: answer.link_target_base64 === null ? undefined : Buffer.from(answer.link_target_base64, "base64"),
});

export const archiveSummaryOf = (
  summary: { readonly entries: number; readonly bytes: number; readonly skipped_base64: readonly string[] } | undefined,
): ArchiveSummary | undefined =>
  summary && {
    entries: summary.entries,
    bytes: summary.bytes,
    skipped: summary.skipped_base64.map((path) => Buffer.from(path, "base64")),
  };

/** The same bytes, with a word of how many there were so far. */
export async function* counted(
  bytes: AsyncIterable<Buffer>,
  onProgress: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let total = 0;
  for await (const chunk of bytes) {
    total += chunk.length;
    onProgress(total);
    yield chunk;
  }
}
