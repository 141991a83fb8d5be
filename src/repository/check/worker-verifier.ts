import { HoldfastError } from "../../base/index.ts";
import type { MasterKey } from "../crypto/envelope.ts";
import type { HexId } from "../repository.ts";
import type { WorkerPool } from "../workers/worker-pool.ts";
import type { PackVerifier } from "./check-data.ts";
import type { PackFault } from "./check-pack.ts";

/** Has the workers verify packs. */
export class WorkerVerifier implements PackVerifier, AsyncDisposable {
  readonly parallel: number;
  readonly #pool: WorkerPool;
  readonly #key: MasterKey;
  readonly #signal: AbortSignal;
  #session: Promise<number> | undefined;

  constructor(pool: WorkerPool, key: MasterKey, signal: AbortSignal) {
    // One more than workers: the next is loaded while they are busy.
    this.parallel = pool.size + 1;
    this.#pool = pool;
    this.#key = key;
    this.#signal = signal;
  }

  async verify(id: HexId, bytes: Buffer, fingerprint: string): Promise<readonly PackFault[]> {
    // Threads are not started for a check that reads no packs.
    this.#session ??= this.#pool.openSession({ key: this.#key });
    const session = await this.#session;
    // Small buffers share their memory with others and cannot be handed over.
    const own = bytes.length === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
    const job = { kind: "check-pack", session, id, bytes: own, fingerprint } as const;
    return this.#pool.run(job, { transfer: [own.buffer as ArrayBuffer], signal: this.#signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#session === undefined) return;
    await this.#pool.closeSession(await this.#session, new HoldfastError("INTERRUPTED", "The check has ended."));
  }
}
