import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import type { Backend } from "../../storage/index.ts";
import type { PackVerifier } from "../check/check-data.ts";
import type { IndexedPack } from "../index/index-file.ts";
import { packFingerprint } from "../pack/pack-fingerprint.ts";
import { Semaphore } from "../workers/semaphore.ts";

/** Packs in memory for it at a time. */
const readAtOnce = 2;

/** Reads packs that were saved back from the storage and verifies every blob of them, while the backup goes on. */
export class ReadBack {
  readonly #backend: Backend;
  readonly #verifier: PackVerifier & AsyncDisposable;
  readonly #room = new Semaphore(readAtOnce);

  constructor(backend: Backend, verifier: PackVerifier & AsyncDisposable) {
    this.#backend = backend;
    this.#verifier = verifier;
  }

  /** @throws HoldfastError REPOSITORY_DAMAGED if the pack is not what was written; STORAGE_*, INTERRUPTED */
  async verify({ id, blobs }: IndexedPack): Promise<void> {
    const fingerprint = packFingerprint(blobs);
    const release = await this.#room.acquire();
    try {
      // A fault of memory or of the way here does not come twice.
      const fault = (await this.#faultOf(id, fingerprint)) && (await this.#faultOf(id, fingerprint));
      if (fault === undefined) return;
      throw new HoldfastError("REPOSITORY_DAMAGED", `A pack was not stored as it was written: ${fault}`, {
        facts: { pack: id, location: this.#backend.location },
        remedy: "There is no such backup. Look at the storage's disk and memory, then take it again.",
      });
    } finally {
      release();
    }
  }

  /** Lets go of the workers. */
  async close(): Promise<void> {
    await this.#verifier[Symbol.asyncDispose]();
  }

  async #faultOf(id: string, fingerprint: string): Promise<string | undefined> {
    try {
      const bytes = await this.#backend.load({ type: "data", name: id });
      return (await this.#verifier.verify(id, bytes, fingerprint))[0]?.message;
    } catch (error) {
      if (!isHoldfastError(error, "STORAGE_NOT_FOUND")) throw error;
      return `The pack ${id} is gone.`;
    }
  }
}
