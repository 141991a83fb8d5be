import { type Backup, type BackupFile, holdJson } from "../../control/index.ts";
import type { Operations, Result } from "../../contract/index.ts";
import { hrefs, links } from "./links.ts";
import { timestamp, timestampOrNull } from "./times.ts";

/** What a caller may do with a backup now. */
export interface BackupOffers {
  readonly restore: boolean;
  readonly delete: boolean;
}

export function representBackup(backup: Backup, offers: BackupOffers): Result<Operations["getBackup"]> {
  const self = hrefs.backup(backup.project, backup.environment, backup.id);
  const isThere = backup.status === "CREATED";
  return {
    id: backup.id,
    created_at: timestamp(backup.createdAt),
    updated_at: timestamp(backup.updatedAt),
    attributes: {},
    status: backup.status,
    expires_at: timestampOrNull(backup.expiresAt),
    index: null,
    commit_id: backup.commitId,
    environment: backup.environment,
    safe: backup.safe,
    size_of_volumes: backup.sizeBytes,
    size_used: backup.written.bytesStored,
    deployment: null,
    restorable: backup.restorable && isThere,
    automated: backup.automated,
    _links: links({
      self,
      details: `${self}/details`,
      "#restore": offers.restore && isThere && backup.restorable && `${self}/restore`,
      "#delete": offers.delete && isThere && self,
    }),
  };
}

/** @param replicas where the project keeps its backups */
export function representBackupDetails(
  backup: Backup,
  offers: BackupOffers,
  replicas: readonly string[],
): Result<Operations["getBackupDetails"]> {
  const { hold, written } = backup;
  const self = hrefs.backup(backup.project, backup.environment, backup.id);
  const shown = representBackup(backup, offers);
  return {
    ...shown,
    project: backup.project,
    snapshot: backup.snapshot,
    hold: holdJson(hold),
    skew_ms: backup.skewMs,
    duration_ms: backup.durationMs,
    data_added: written.bytesNew,
    data_added_packed: written.bytesStored,
    blobs_added: written.blobsNew,
    replicas: [...replicas],
    components: backup.components.map((component) => ({
      source: component.source,
      kind: component.kind,
      path: component.path,
      engine_version: component.engineVersion ?? null,
      frozen_at: timestamp(component.frozenAt),
      freeze_ms: component.freezeMs,
      freeze_facts: { ...component.freezeFacts },
      files: component.files,
      bytes: component.bytes,
    })),
    warnings: backup.warnings.map(({ source, kind, message, facts }) => ({
      source,
      kind,
      message,
      facts: { ...facts },
    })),
    _links: { ...shown._links, ...links({ self: `${self}/details`, backup: self }) },
  };
}

export const representBackupFile = (file: BackupFile): Result<Operations["listBackupFiles"]>[number] => ({
  name_base64: file.name.toString("base64"),
  type: file.type,
  mode: file.mode,
  uid: file.uid,
  gid: file.gid,
  user: file.user ?? null,
  group: file.group ?? null,
  size: file.sizeBytes ?? null,
  modified_at: timestamp(file.modifiedAt),
  links: file.links,
  link_target_base64: file.linkTarget?.toString("base64") ?? null,
});
