import { HoldfastError, throwIfAborted } from "../../base/index.ts";
import {
  type ContentReader,
  type EntryMetadata,
  type EntryPath,
  type FileToWrite,
  generatedMetadata,
  type StoredContent,
  type StoredEntry,
  type WriteFileResult,
} from "../../component/index.ts";
import type { RepositoryLock } from "../lock/repository-lock.ts";
import type { RepositoryReader, Snapshot } from "../repository.ts";
import type { TreeReader } from "../tree/tree-reader.ts";
import { entryAt, findChild, walkTree } from "../tree/tree-walk.ts";

const rootPath: EntryPath = Buffer.alloc(0);

/** What a reader is made of. */
export interface ReaderParts {
  readonly lock: RepositoryLock;
  readonly trees: TreeReader;
  /** `close` lets go of what it has on the workers. */
  readonly contents: ContentReader & { close(): Promise<void> };
  /** The caller's; the lock's is added. */
  readonly signal: AbortSignal | undefined;
}

/** Reads snapshots' trees on this thread and contents on the workers. */
export class SnapshotReader implements RepositoryReader {
  readonly #parts: ReaderParts;
  readonly #signal: AbortSignal;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
    this.#signal = joinSignals(parts.lock.signal, parts.signal);
  }

  async find(snapshot: Snapshot, path: EntryPath): Promise<StoredEntry | undefined> {
    throwIfAborted(this.#signal);
    if (path.length === 0) return { path: rootPath, metadata: rootMetadata(snapshot) };
    const child = await findChild(this.#parts.trees, snapshot.tree, path);
    return child === undefined ? undefined : entryAt(path, child);
  }

  async *walk(snapshot: Snapshot, path: EntryPath, signal?: AbortSignal): AsyncIterable<StoredEntry> {
    const stop = joinSignals(this.#signal, signal);
    throwIfAborted(stop);
    if (path.length === 0) {
      yield { path: rootPath, metadata: rootMetadata(snapshot) };
      yield* walkTree(this.#parts.trees, snapshot.tree, rootPath, stop);
      return;
    }
    const child = await findChild(this.#parts.trees, snapshot.tree, path);
    if (child === undefined) throw notFound(snapshot, path);
    yield entryAt(rootPath, child);
    if (child.subtree !== undefined) yield* walkTree(this.#parts.trees, child.subtree, rootPath, stop);
  }

  async list(snapshot: Snapshot, path: EntryPath): Promise<readonly StoredEntry[]> {
    throwIfAborted(this.#signal);
    const directory =
      path.length === 0 ? snapshot.tree : (await findChild(this.#parts.trees, snapshot.tree, path))?.subtree;
    if (directory === undefined) throw notFound(snapshot, path);
    const prefix = path.length === 0 ? rootPath : Buffer.concat([path, Buffer.from("/")]);
    const children = await this.#parts.trees.children(directory);
    return children.map((child) => entryAt(Buffer.concat([prefix, child.name]), child));
  }

  writeFiles(files: readonly FileToWrite[], signal?: AbortSignal): Promise<readonly WriteFileResult[]> {
    return this.#parts.contents.writeFiles(files, joinSignals(this.#signal, signal));
  }

  read(content: StoredContent, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#parts.contents.read(content, joinSignals(this.#signal, signal));
  }

  async close(): Promise<void> {
    try {
      await this.#parts.contents.close();
    } finally {
      await this.#parts.lock.release();
    }
  }
}

/** Aborted when either is. */
export function joinSignals(one: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  return other === undefined ? one : AbortSignal.any([one, other]);
}

/** A snapshot says nothing of its own root. */
function rootMetadata(snapshot: Snapshot): EntryMetadata {
  return { ...generatedMetadata("dir", snapshot.time), mode: 0o755 };
}

function notFound(snapshot: Snapshot, path: EntryPath): HoldfastError {
  return new HoldfastError(
    "SOURCE_NOT_FOUND",
    `The snapshot ${snapshot.id.slice(0, 8)} has no directory "${path.toString()}".`,
    { facts: { snapshot: snapshot.id, path: path.toString() } },
  );
}
