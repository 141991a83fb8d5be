import { tarArchive } from "../archive/index.ts";
import type { StoredEntry } from "../component/index.ts";
import type { Repository } from "../repository/index.ts";
import { listBackup, openBackup, walkBackup } from "./browse.ts";
import type { Backup } from "./catalog.ts";

/** What is in a directory of a backup. */
export interface BackupFile {
  /** The last name of its path. */
  readonly name: Buffer;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly user: string | undefined;
  readonly group: string | undefined;
  readonly sizeBytes: number | undefined;
  readonly modifiedAt: Date;
  readonly links: number;
  readonly linkTarget: Buffer | undefined;
}

export interface BackupArchive {
  /** No faster than they are taken. Have to be taken to their end, or returned. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Once all are taken. */
  readonly summary: () => ArchiveSummary;
}

export interface ArchiveSummary {
  readonly entries: number;
  readonly bytes: number;
  /** Sockets, of which an archive has none; from a server perhaps the first only. */
  readonly skipped: readonly Buffer[];
}

/** What is directly in a directory, or the one file. @throws HoldfastError SOURCE_NOT_FOUND, BACKUP_NOT_FOUND, REPOSITORY_* */
export async function backupFiles(
  repository: Repository,
  backup: Backup,
  path: Buffer,
  signal: AbortSignal,
): Promise<readonly BackupFile[]> {
  const opened = await openBackup(repository, backup, signal);
  try {
    return (await listBackup(opened, path)).map(fileOf);
  } finally {
    await opened.close();
  }
}

const fileOf = ({ path, metadata, content }: StoredEntry): BackupFile => ({
  name: path.subarray(path.lastIndexOf(0x2f) + 1),
  type: metadata.type,
  mode: metadata.mode,
  uid: metadata.uid,
  gid: metadata.gid,
  user: metadata.user,
  group: metadata.group,
  sizeBytes: content?.sizeBytes,
  modifiedAt: new Date(Number(metadata.mtimeNs / 1_000_000n)),
  links: metadata.links,
  linkTarget: metadata.linkTarget === undefined ? undefined : Buffer.from(metadata.linkTarget),
});

export interface ArchiveOptions {
  readonly signal: AbortSignal;
  /** Bytes of contents so far. */
  readonly onProgress?: (bytes: number) => void;
}

/**
 * A tar archive of these paths; of everything for the empty one. Take its bytes to their end, or return them.
 * @throws HoldfastError SOURCE_NOT_FOUND, BACKUP_NOT_FOUND, REPOSITORY_*
 */
export async function backupArchive(
  repository: Repository,
  backup: Backup,
  paths: readonly Buffer[],
  { signal, onProgress }: ArchiveOptions,
): Promise<BackupArchive> {
  const opened = await openBackup(repository, backup, signal);
  try {
    for (const path of paths) {
      // Told before a byte is written. walkBackup throws for a path that is not there, at its first entry.
      for await (const _ of walkBackup(opened, path, signal)) break;
    }
  } catch (error) {
    await opened.close();
    throw error;
  }
  const found = { entries: 0, bytes: 0 };
  const skipped: Buffer[] = [];
  const parts = paths.map((path) => ({ path, entries: walkBackup(opened, path, signal) }));
  const archive = tarArchive(parts, opened.reader, {
    signal,
    onMember: (added) => {
      found.entries += 1;
      found.bytes += added;
      onProgress?.(found.bytes);
    },
    onSkipped: (path) => void skipped.push(path),
  });
  const bytes = async function* (): AsyncGenerator<Buffer> {
    try {
      yield* archive;
    } finally {
      await opened.close();
    }
  };
  return { bytes: bytes(), summary: () => ({ ...found, skipped }) };
}
