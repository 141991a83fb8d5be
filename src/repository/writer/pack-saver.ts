import { HoldfastError } from "../../base/index.ts";
import { envelopeOverhead } from "../crypto/envelope.ts";
import { encodeIndex, type PackToIndex } from "../index/index-file.ts";
import type { LoadedIndex } from "../index/load-index.ts";
import type { WriteStats } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { BlobList } from "../pack/blob-list.ts";
import { freeHandedOver } from "../workers/free-memory.ts";
import type { FinishedPack } from "../workers/protocol.ts";
import { flowWords } from "../workers/store-session.ts";
import type { ReadBack } from "./read-back.ts";

/** As restic: an index file is written once so many blobs wait for it. */
const blobsPerIndex = 50_000;
/** And once so many packs wait: after a crash, the next backup finds all but the last 4 GiB. */
const packsPerIndex = 256;

/** Saves the packs that workers finish, and the index files that name them. The first failure ends the writer. */
export class PackSaver {
  readonly flow = new SharedArrayBuffer(8);
  readonly #words = new Int32Array(this.flow);
  readonly #files: UnpackedFiles;
  readonly #index: LoadedIndex;
  readonly #readBack: ReadBack | undefined;
  readonly #saving = new Set<Promise<void>>();
  readonly #verifying = new Set<Promise<void>>();
  #unindexed: PackToIndex[] = [];
  #unindexedBlobs = 0;
  #failure: unknown;
  #stats: WriteStats = { bytesNew: 0, bytesStored: 0, blobsNew: 0 };

  constructor(files: UnpackedFiles, index: LoadedIndex, readBack?: ReadBack) {
    this.#files = files;
    this.#index = index;
    this.#readBack = readBack;
  }

  get stats(): WriteStats {
    return this.#stats;
  }

  /** Takes a pack over; nobody waits for it but the workers, through the flow. */
  take(pack: FinishedPack): void {
    const saving = this.#save(pack)
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        this.#saving.delete(saving);
        Atomics.sub(this.#words, flowWords.packsInFlight, 1);
        Atomics.notify(this.#words, flowWords.packsInFlight);
      });
    this.#saving.add(saving);
  }

  /** Lets every later call throw `error`, and workers drop what they have. The first one counts. */
  fail(error: unknown): void {
    this.#failure ??= error;
    Atomics.store(this.#words, flowWords.failed, 1);
    Atomics.notify(this.#words, flowWords.packsInFlight);
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** @throws the first failure, if there was one */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits until all packs that were taken are durable, and verified if that was asked for, then writes the last index. */
  async finish(): Promise<void> {
    await this.settle();
    await this.#settleReadBack();
    this.check();
    await this.#saveIndex();
    this.check();
  }

  /** Waits for saves under way; does not throw. */
  async settle(): Promise<void> {
    while (this.#saving.size > 0) await Promise.all(this.#saving);
  }

  /** Ends the verification of what was saved. Call it after a failure, or after `finish`. */
  async close(): Promise<void> {
    await this.settle();
    await this.#settleReadBack();
    await this.#readBack?.close();
  }

  async #settleReadBack(): Promise<void> {
    while (this.#verifying.size > 0) await Promise.all(this.#verifying);
  }

  async #save(pack: FinishedPack): Promise<void> {
    this.check();
    const storedBytes = pack.bytes.length;
    await this.#files.backend.save({ type: "data", name: pack.id }, pack.bytes);
    freeHandedOver(pack.bytes);
    const blobs = new BlobList(pack.type, pack.blobs);
    const number = this.#index.packs.push(pack.id) - 1;
    let bytesNew = 0;
    for (const { type, id, offset, length, uncompressedLength } of blobs) {
      this.#index.blobs.place(type, id, { pack: number, offset, length, uncompressedLength });
      bytesNew += uncompressedLength > 0 ? uncompressedLength : length - envelopeOverhead;
    }
    this.#stats = {
      bytesNew: this.#stats.bytesNew + bytesNew,
      bytesStored: this.#stats.bytesStored + storedBytes,
      blobsNew: this.#stats.blobsNew + blobs.length,
    };
    const indexed = { id: pack.id, blobs };
    if (this.#readBack === undefined) await this.#addToIndex(indexed);
    else this.#verify(indexed, this.#readBack);
  }

  /** Beside the saves: workers that wait for a save's end could not verify it. */
  #verify(pack: PackToIndex, readBack: ReadBack): void {
    const verify = async (): Promise<void> => {
      this.check();
      await readBack.verify({ id: pack.id, blobs: [...pack.blobs] });
      await this.#addToIndex(pack);
    };
    const verifying = verify()
      .catch((error: unknown) => this.fail(error))
      .finally(() => this.#verifying.delete(verifying));
    this.#verifying.add(verifying);
  }

  async #addToIndex(pack: PackToIndex): Promise<void> {
    const { blobs } = pack;
    const full = this.#unindexedBlobs + blobs.length > blobsPerIndex || this.#unindexed.length >= packsPerIndex;
    if (full) await this.#saveIndex();
    this.#unindexed.push(pack);
    this.#unindexedBlobs += blobs.length;
  }

  async #saveIndex(): Promise<void> {
    const packs = this.#unindexed;
    if (packs.length === 0) return;
    this.#unindexed = [];
    this.#unindexedBlobs = 0;
    const id = await this.#files.save("index", encodeIndex(packs));
    // Its name is its hash, so that loading it verifies it.
    if (this.#readBack !== undefined) await this.#files.load("index", id);
  }
}

/** What a writer's calls throw after `close`. */
export function closedError(): HoldfastError {
  return new HoldfastError("INTERRUPTED", "The writer was closed.");
}
