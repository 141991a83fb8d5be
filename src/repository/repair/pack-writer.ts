import { throwIfAborted } from "../../base/index.ts";
import type { Sealer } from "../crypto/envelope.ts";
import { encodeIndex, type IndexedPack } from "../index/index-file.ts";
import type { BlobType } from "../pack/pack-format.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { compressBlob, compressTree } from "../workers/compression.ts";
import { BlobList } from "../pack/blob-list.ts";
import { PackBuilder } from "../workers/pack-builder.ts";
import type { FinishedPack } from "../workers/protocol.ts";

const packBytes = 16 << 20;
const blobsPerIndex = 50_000;

/** Writes packs, and index files that name them once they are durable; on the calling thread. */
export class PackWriter {
  readonly #files: UnpackedFiles;
  readonly #signal: AbortSignal;
  readonly #builders: Readonly<Record<BlobType, PackBuilder>>;
  readonly #finished: FinishedPack[] = [];
  #unindexed: IndexedPack[] = [];
  #unindexedBlobs = 0;

  constructor(files: UnpackedFiles, sealer: Sealer, signal: AbortSignal) {
    this.#files = files;
    this.#signal = signal;
    const finished = (pack: FinishedPack): void => void this.#finished.push(pack);
    const builder = (type: BlobType): PackBuilder =>
      new PackBuilder({ session: 0, type, sealer, targetBytes: packBytes, finished });
    this.#builders = { data: builder("data"), tree: builder("tree") };
  }

  /** @throws HoldfastError STORAGE_*, INTERRUPTED */
  async add(type: BlobType, id: Uint8Array, plaintext: Uint8Array): Promise<void> {
    const frame = type === "tree" ? compressTree(plaintext) : compressBlob(plaintext);
    if (frame === undefined) this.#builders[type].add(id, plaintext, 0);
    else this.#builders[type].add(id, frame, plaintext.length);
    await this.#saveFinished();
  }

  /** A blob's envelope, as it is in another pack. @throws HoldfastError STORAGE_*, INTERRUPTED */
  async addSealed(type: BlobType, id: Uint8Array, envelope: Uint8Array, uncompressedLength: number): Promise<void> {
    this.#builders[type].addSealed(id, envelope, uncompressedLength);
    await this.#saveFinished();
  }

  /** Names a pack that is there already. @throws HoldfastError STORAGE_*, INTERRUPTED */
  async addToIndex(pack: IndexedPack): Promise<void> {
    if (this.#unindexed.length > 0 && this.#unindexedBlobs + pack.blobs.length > blobsPerIndex) await this.#saveIndex();
    this.#unindexed.push(pack);
    this.#unindexedBlobs += pack.blobs.length;
  }

  /** Makes packs durable that are being filled. They are in no index yet. @throws HoldfastError STORAGE_*, INTERRUPTED */
  async flush(): Promise<void> {
    this.#builders.data.finish();
    this.#builders.tree.finish();
    await this.#saveFinished();
  }

  /** Makes everything durable. @throws HoldfastError STORAGE_*, INTERRUPTED */
  async finish(): Promise<void> {
    await this.flush();
    await this.#saveIndex();
  }

  async #saveFinished(): Promise<void> {
    for (const pack of this.#finished.splice(0)) {
      throwIfAborted(this.#signal);
      await this.#files.backend.save({ type: "data", name: pack.id }, pack.bytes);
      await this.addToIndex({ id: pack.id, blobs: [...new BlobList(pack.type, pack.blobs)] });
    }
  }

  async #saveIndex(): Promise<void> {
    const packs = this.#unindexed;
    if (packs.length === 0) return;
    this.#unindexed = [];
    this.#unindexedBlobs = 0;
    throwIfAborted(this.#signal);
    await this.#files.save("index", encodeIndex(packs));
  }
}
