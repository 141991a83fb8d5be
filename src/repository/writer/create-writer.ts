import { HoldfastError, throwIfAborted } from "../../base/index.ts";
import {
  type Entry,
  type FileToStore,
  type PreviousEntries,
  splitEntryPath,
  type StoredContent,
  type StoreFileResult,
} from "../../component/index.ts";
import { type MasterKey, Sealer } from "../crypto/envelope.ts";
import type { LoadedIndex } from "../index/load-index.ts";
import { BlobLoader } from "../pack/blob-loader.ts";
import type { HexId, RepositoryWriter, Snapshot, StoredTree, TreeChild, WriteStats } from "../repository.ts";
import { encodeSnapshot } from "../snapshot/snapshot-format.ts";
import { encodeTree } from "../tree/tree-format.ts";
import { TreeReader } from "../tree/tree-reader.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import type { WorkerPool } from "../workers/worker-pool.ts";
import { processUser } from "../process-user.ts";
import { ContentWriter } from "./content-writer.ts";
import { closedError, PackSaver } from "./pack-saver.ts";
import type { ReadBack } from "./read-back.ts";
import { StoredPreviousEntries } from "./previous-entries.ts";
import { storeTree } from "./store-tree.ts";
import { TreeBlobs } from "./tree-blobs.ts";

const packBytes = 16 << 20;

export interface WriterParts {
  readonly files: UnpackedFiles;
  readonly key: MasterKey;
  readonly pool: WorkerPool;
  /** Loaded for this writer, under its lock. It is the writer's from now on. */
  readonly index: LoadedIndex;
  /** "holdfast 0.1.0" */
  readonly programVersion: string;
  /** Aborted to cancel everything, or when the lock is lost: nothing is saved any more. */
  readonly signal?: AbortSignal | undefined;
  /** Given, every pack is read back and verified before an index or the snapshot names it. It is the writer's from now on. */
  readonly readBack?: ReadBack | undefined;
  /** Throws if the lock is lost, whatever its signal says yet. Asked right before and after the snapshot is saved. */
  readonly confirm?: () => void;
  /** Lets go of the lock. */
  readonly release: () => Promise<void>;
  /** Size at which a pack is full; default 16 MiB. */
  readonly packBytes?: number;
}

/** A writer over the shared workers. @throws HoldfastError INTERNAL if the workers do not start */
export async function createWriter(parts: WriterParts): Promise<RepositoryWriter> {
  const saver = new PackSaver(parts.files, parts.index, parts.readBack);
  const session = await parts.pool.openSession(
    {
      key: parts.key,
      store: {
        index: parts.index.blobs.share(),
        flow: saver.flow,
        maxPacksInFlight: Math.max(2, parts.pool.size),
        packBytes: parts.packBytes ?? packBytes,
      },
    },
    { onPack: (pack) => saver.take(pack) },
  );
  return new SnapshotWriter(parts, saver, session);
}

class SnapshotWriter implements RepositoryWriter {
  readonly #parts: WriterParts;
  readonly #saver: PackSaver;
  readonly #session: number;
  readonly #contents: ContentWriter;
  readonly #trees: TreeBlobs;
  readonly #earlier: TreeReader;
  readonly #onAbort = (): void => this.#saver.fail(interruption(this.#parts.signal));
  #saved = false;
  #closed: Promise<void> | undefined;

  constructor(parts: WriterParts, saver: PackSaver, session: number) {
    const { files, key, pool, index } = parts;
    this.#parts = parts;
    this.#saver = saver;
    this.#session = session;
    this.#contents = new ContentWriter({ pool, session, saver, key });
    this.#trees = new TreeBlobs(pool, session, index);
    this.#earlier = new TreeReader(new BlobLoader(files.backend, new Sealer(key), index));
    parts.signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (parts.signal?.aborted) this.#onAbort();
  }

  async storeFiles(files: readonly FileToStore[], signal?: AbortSignal): Promise<readonly StoreFileResult[]> {
    return this.#contents.storeFiles(files, signal);
  }

  async storeStream(stream: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<StoredContent> {
    return this.#contents.storeStream(stream, signal);
  }

  async storeTree(entries: AsyncIterable<Entry>, signal?: AbortSignal): Promise<StoredTree> {
    this.#saver.check();
    const either = signal ?? this.#parts.signal ?? new AbortController().signal;
    try {
      return await storeTree(entries, this.#contents, this.#trees, this.#earlier, either);
    } catch (error) {
      this.#saver.check();
      throw error;
    }
  }

  async storeDirectory(children: readonly TreeChild[]): Promise<HexId> {
    this.#saver.check();
    const sorted = children.toSorted((a, b) => Buffer.compare(a.name, b.name));
    const id = this.#trees.add(encodeTree(sorted));
    await this.#trees.ready();
    return id;
  }

  async previous(snapshot: Snapshot, path: string): Promise<PreviousEntries | undefined> {
    this.#saver.check();
    let tree = snapshot.tree;
    for (const name of splitEntryPath(Buffer.from(path))) {
      const child = await this.#earlier.child(tree, name);
      if (child?.subtree === undefined) return undefined;
      tree = child.subtree;
    }
    return new StoredPreviousEntries(this.#earlier, this.#parts.index, tree);
  }

  stats(): WriteStats {
    return this.#saver.stats;
  }

  async flush(): Promise<void> {
    this.#saver.check();
    try {
      await this.#trees.flush();
      await this.#parts.pool.order({ kind: "flush", session: this.#session });
      await this.#saver.settle();
    } finally {
      this.#saver.check();
    }
  }

  async saveSnapshot(snapshot: Parameters<RepositoryWriter["saveSnapshot"]>[0]): Promise<Snapshot> {
    if (this.#saved) throw new TypeError("A writer saves one snapshot.");
    this.#saver.check();
    this.#saved = true;
    const { files, index, programVersion } = this.#parts;
    await this.flush();
    await this.#saver.finish();
    if (!index.blobs.has("tree", Buffer.from(snapshot.tree, "hex"))) {
      throw new HoldfastError("INTERNAL", `The snapshot's tree ${snapshot.tree} was never stored.`);
    }
    throwIfAborted(this.#parts.signal);
    this.#parts.confirm?.();
    const stored = { ...snapshot, programVersion };
    const { username, uid, gid } = processUser();
    const id = await files.save("snapshot", encodeSnapshot({ ...stored, username, uid, gid }));
    try {
      this.#parts.confirm?.();
    } catch (error) {
      // Suspended in the middle of it: by now a prune may have taken what it refers to.
      await files.backend.remove({ type: "snapshot", name: id });
      throw error;
    }
    if (this.#parts.readBack !== undefined) await this.#readBackSnapshot(id);
    return { ...stored, id };
  }

  /** Its name is its hash, so that loading it verifies it. One that does not load is no backup. */
  async #readBackSnapshot(id: HexId): Promise<void> {
    const { files } = this.#parts;
    try {
      await files.load("snapshot", id);
    } catch (error) {
      await files.backend.remove({ type: "snapshot", name: id });
      throw error;
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#parts.signal?.removeEventListener("abort", this.#onAbort);
    this.#saver.fail(closedError());
    try {
      await this.#parts.pool.closeSession(this.#session, closedError());
      await this.#saver.close();
    } finally {
      await this.#parts.release();
    }
  }
}

function interruption(signal: AbortSignal | undefined): unknown {
  try {
    throwIfAborted(signal);
    return closedError();
  } catch (error) {
    return error;
  }
}
