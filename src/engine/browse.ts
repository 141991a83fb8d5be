import { HoldfastError } from "../base/index.ts";
import type { StoredEntry } from "../component/index.ts";
import type { Repository, RepositoryReader, Snapshot } from "../repository/index.ts";
import { manifestPath } from "./backup-tree.ts";
import type { Backup } from "./catalog.ts";
import { decodeManifest, type Manifest } from "./manifest.ts";

const manifestLimitBytes = 64 * 1024 * 1024;

/** A backup opened for looking and copying out of it. `close` it. */
export interface OpenBackup {
  readonly backup: Backup;
  readonly snapshot: Snapshot;
  readonly reader: RepositoryReader;
  readonly manifest: Manifest;
  close(): Promise<void>;
}

/** @throws HoldfastError BACKUP_NOT_FOUND (its snapshot has gone), REPOSITORY_* */
export async function openBackup(repository: Repository, backup: Backup, signal?: AbortSignal): Promise<OpenBackup> {
  const snapshots = await repository.snapshots();
  // Another tool may have rewritten the snapshot (a tag, say): its id is new then, its tags are not.
  const snapshot =
    snapshots.find(({ id }) => id === backup.snapshot) ??
    snapshots.find(({ tags }) => tags.includes(`backup:${backup.id}`));
  if (snapshot === undefined) {
    throw new HoldfastError("BACKUP_NOT_FOUND", `The repository no longer holds the snapshot of ${backup.id}.`, {
      facts: { backup: backup.id, snapshot: backup.snapshot },
      remedy: "Check the repository: holdfast repo:check",
    });
  }
  const reader = await repository.reader(signal === undefined ? {} : { signal });
  try {
    const manifest = await manifestOf(reader, snapshot);
    return { backup, snapshot, reader, manifest, close: () => reader.close() };
  } catch (error) {
    await reader.close();
    throw error;
  }
}

/** The manifest of any snapshot that Holdfast wrote. */
export async function readManifest(repository: Repository, snapshot: Snapshot): Promise<Manifest> {
  const reader = await repository.reader();
  try {
    return await manifestOf(reader, snapshot);
  } finally {
    await reader.close();
  }
}

/** @throws HoldfastError REPOSITORY_UNSUPPORTED, REPOSITORY_DAMAGED */
export async function manifestOf(reader: RepositoryReader, snapshot: Snapshot): Promise<Manifest> {
  const entry = await reader.find(snapshot, Buffer.from(manifestPath));
  if (entry?.content === undefined || entry.content.sizeBytes > manifestLimitBytes) {
    throw new HoldfastError(
      "REPOSITORY_UNSUPPORTED",
      `Snapshot ${snapshot.id} has no usable ${manifestPath}; it was not made by holdfast.`,
      { facts: { snapshot: snapshot.id }, remedy: "Restore it with restic." },
    );
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of reader.read(entry.content)) chunks.push(chunk);
  return decodeManifest(Buffer.concat(chunks), snapshot.id);
}

/** The entry at a path. @throws HoldfastError SOURCE_NOT_FOUND */
export async function findInBackup(opened: OpenBackup, path: Buffer): Promise<StoredEntry> {
  const entry = await opened.reader.find(opened.snapshot, path);
  if (entry === undefined) throw pathNotFound(opened.backup, path);
  return entry;
}

/** What a backup holds directly in a directory, or the one entry if `path` is a file. @throws HoldfastError SOURCE_NOT_FOUND */
export async function listBackup(opened: OpenBackup, path: Buffer): Promise<readonly StoredEntry[]> {
  const entry = await findInBackup(opened, path);
  return entry.metadata.type === "dir" ? opened.reader.list(opened.snapshot, path) : [entry];
}

/** Everything at and below a path, in order. @throws HoldfastError SOURCE_NOT_FOUND */
export async function* walkBackup(opened: OpenBackup, path: Buffer, signal?: AbortSignal): AsyncIterable<StoredEntry> {
  await findInBackup(opened, path);
  yield* opened.reader.walk(opened.snapshot, path, signal);
}

export function pathNotFound(backup: Backup, path: Buffer): HoldfastError {
  return new HoldfastError("SOURCE_NOT_FOUND", `The backup ${backup.id} has nothing at "${path.toString()}".`, {
    facts: { backup: backup.id, path: path.toString() },
    remedy: `See what there is: holdfast backup:files ${backup.id}`,
  });
}
