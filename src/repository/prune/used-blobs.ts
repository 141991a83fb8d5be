import { throwIfAborted } from "../../base/index.ts";
import { damaged } from "../damage.ts";
import type { BlobType } from "../pack/pack-format.ts";
import type { BlobLoader } from "../pack/blob-loader.ts";
import type { HexId, Snapshot } from "../repository.ts";
import { decodeTree } from "../tree/decode-tree.ts";
import type { PruneIndex } from "./prune-index.ts";

const loadedAtOnce = 8;

/** Which blobs snapshots need: one bit for each entry of the index. */
export class UsedBlobs {
  readonly #index: PruneIndex;
  readonly #loader: BlobLoader;
  #bits = new Uint8Array(1 << 16);
  #trees = 0;

  constructor(index: PruneIndex, loader: BlobLoader) {
    this.#index = index;
    this.#loader = loader;
  }

  has(entry: number): boolean {
    return (((this.#bits[entry >>> 3] ?? 0) >>> (entry & 7)) & 1) === 1;
  }

  /**
   * Adds everything that the snapshots need; what was there is not read again. `onNew` gets the number of the pack of each
   * blob that comes new. @throws HoldfastError REPOSITORY_DAMAGED if something needed is in no index or cannot be read
   */
  async add(
    snapshots: readonly Snapshot[],
    options: {
      readonly signal: AbortSignal;
      readonly onTree?: (trees: number) => void;
      readonly onNew?: (pack: number) => void;
    },
  ): Promise<void> {
    const waiting: HexId[] = [];
    const need = (type: BlobType, id: Uint8Array): boolean => {
      const entry = this.#index.blobs.entryOf(type, id);
      const location = entry === 0 ? undefined : this.#index.blobs.locationOf(entry);
      if (location === undefined) {
        const blob = Buffer.from(id).toString("hex");
        throw damaged(`The ${type} blob ${blob}, which a snapshot needs, is in no index.`, { blob });
      }
      if (!this.#set(entry)) return false;
      options.onNew?.(location.pack);
      return true;
    };
    const needTree = (id: HexId): void => {
      if (need("tree", Buffer.from(id, "hex"))) waiting.push(id);
    };
    const visit = async (id: HexId): Promise<void> => {
      for (const { subtree, content } of decodeTree(await this.#loader.load("tree", id), `tree ${id}`)) {
        if (subtree !== undefined) needTree(subtree);
        if (content === undefined) continue;
        for (let at = 0; at < content.blobIds.length; at += 32) need("data", content.blobIds.subarray(at, at + 32));
      }
      this.#trees += 1;
      options.onTree?.(this.#trees);
    };
    for (const { tree } of snapshots) needTree(tree);
    while (waiting.length > 0) {
      throwIfAborted(options.signal);
      // From the end: depth first keeps the list of what is waiting short.
      await Promise.all(waiting.splice(-loadedAtOnce).map(visit));
    }
  }

  /** True if it is new. */
  #set(entry: number): boolean {
    const byte = entry >>> 3;
    if (byte >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(byte + 1, this.#bits.length * 2));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    const bit = 1 << (entry & 7);
    if (((this.#bits[byte] as number) & bit) !== 0) return false;
    this.#bits[byte] = (this.#bits[byte] as number) | bit;
    return true;
  }
}
