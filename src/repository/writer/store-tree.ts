import { AbortWatch } from "../../base/index.ts";
import type { ContentStore, Entry } from "../../component/index.ts";
import type { HexId, StoredTree } from "../repository.ts";
import type { TreeReader } from "../tree/tree-reader.ts";
import { Semaphore } from "../workers/semaphore.ts";
import { unreadable } from "./content-writer.ts";
import type { TreeBlobs } from "./tree-blobs.ts";
import { type PendingFile, TreeBuilder } from "./tree-builder.ts";

const hexOf = (id: Uint8Array): HexId => Buffer.from(id).toString("hex");

const filesPerBatch = 128;
const maxBatches = 4;

interface FileToRead {
  readonly file: PendingFile;
  readonly path: Buffer;
}

/** Stores a tree of entries; see RepositoryWriter.storeTree. */
export async function storeTree(
  entries: AsyncIterable<Entry>,
  contents: ContentStore,
  trees: TreeBlobs,
  earlier: TreeReader,
  signal: AbortSignal,
): Promise<StoredTree> {
  const builder = new TreeBuilder((tree) => trees.add(tree));
  const batches = new FileBatches(contents, builder, signal);
  using abort = new AbortWatch(signal);
  try {
    for await (const entry of entries) {
      abort.check();
      const { base } = entry;
      const file = builder.add(
        entry,
        base === undefined ? undefined : { base, tree: base.whole ? undefined : await earlier.text(hexOf(base.tree)) },
      );
      if (file !== undefined && entry.content !== undefined) {
        if (entry.content.kind === "stored") builder.complete(file, entry.content.content);
        else if (entry.content.kind === "file") await batches.add({ file, path: entry.content.path });
        else builder.complete(file, await contents.storeStream(entry.content.open(signal), signal));
      }
      if (trees.mustWait) await trees.ready();
    }
    abort.check();
    builder.end();
    await batches.finish();
  } catch (error) {
    await batches.settle();
    throw error;
  }
  await trees.flush();
  return builder.result();
}

/** Local files of a tree, read many at once. */
class FileBatches {
  readonly #contents: ContentStore;
  readonly #builder: TreeBuilder;
  readonly #signal: AbortSignal;
  readonly #room = new Semaphore(maxBatches);
  readonly #running = new Set<Promise<void>>();
  #batch: FileToRead[] = [];
  #failure: unknown;

  constructor(contents: ContentStore, builder: TreeBuilder, signal: AbortSignal) {
    this.#contents = contents;
    this.#builder = builder;
    this.#signal = signal;
  }

  /** Waits while too many are on their way. @throws what reading an earlier one threw */
  async add(file: FileToRead): Promise<void> {
    this.#batch.push(file);
    if (this.#batch.length >= filesPerBatch) await this.#send();
  }

  async finish(): Promise<void> {
    await this.#send();
    await this.settle();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits for what is under way; does not throw. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #send(): Promise<void> {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    const release = await this.#room.acquire();
    if (this.#failure !== undefined) {
      release();
      throw this.#failure;
    }
    const running = this.#store(batch)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        release();
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  async #store(batch: readonly FileToRead[]): Promise<void> {
    const results = await this.#contents.storeFiles(batch, this.#signal);
    for (const [at, { file, path }] of batch.entries()) {
      const result = results[at];
      if (result?.status === "stored") this.#builder.complete(file, result.content);
      else if (result !== undefined) throw unreadable(path, result);
    }
  }
}
