import { hash } from "node:crypto";
import type { LoadedIndex } from "../index/load-index.ts";
import type { HexId } from "../repository.ts";
import { Semaphore } from "../workers/semaphore.ts";
import type { WorkerPool } from "../workers/worker-pool.ts";

/** Trees of a message to a worker, together. */
const batchBytes = 256 << 10;
const maxBytesInFlight = 16 << 20;

/** Hands trees to the workers in batches. A tree's id is known at once; whether it was stored shows in `flush`. */
export class TreeBlobs {
  readonly #pool: WorkerPool;
  readonly #session: number;
  readonly #index: LoadedIndex;
  readonly #room = new Semaphore(maxBytesInFlight);
  readonly #running = new Set<Promise<void>>();
  #batch: Uint8Array<ArrayBuffer>[] = [];
  #batchBytes = 0;
  #failure: unknown;

  constructor(pool: WorkerPool, session: number, index: LoadedIndex) {
    this.#pool = pool;
    this.#session = session;
    this.#index = index;
  }

  /** `tree` is the blob's plaintext. */
  add(tree: Buffer): HexId {
    const id = hash("sha256", tree, "buffer");
    if (!this.#index.blobs.has("tree", id)) {
      // Memory of its own, to be handed over.
      this.#batch.push(new Uint8Array(tree));
      this.#batchBytes += tree.length;
      if (this.#batchBytes >= batchBytes) this.#send();
    }
    return id.toString("hex");
  }

  /** Whether `ready` has anything to do. Asking costs little, so that not each entry of a tree becomes a promise. */
  get mustWait(): boolean {
    return this.#failure !== undefined || this.#running.size > 0;
  }

  /** Waits while too much is on its way. @throws what storing a tree threw */
  async ready(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#running.size === 0) return;
    const release = await this.#room.acquire(batchBytes);
    release();
  }

  /** Waits until all trees are in the workers' packs. @throws what storing a tree threw */
  async flush(): Promise<void> {
    this.#send();
    while (this.#running.size > 0) await Promise.all(this.#running);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #send(): void {
    const blobs = this.#batch;
    if (blobs.length === 0) return;
    const bytes = this.#batchBytes;
    this.#batch = [];
    this.#batchBytes = 0;
    const store = async (): Promise<void> => {
      const release = await this.#room.acquire(bytes);
      try {
        const transfer = blobs.map((blob) => blob.buffer);
        await this.#pool.run({ kind: "store-blobs", session: this.#session, type: "tree", blobs }, { transfer });
      } catch (error) {
        this.#failure ??= error;
      } finally {
        release();
      }
    };
    const running = store().finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}
