import { throwIfAborted } from "../../base/index.ts";
import { loadRange } from "../content/locate-blob.ts";
import type { Sealer } from "../crypto/envelope.ts";
import { encodeIndex, type IndexedPack } from "../index/index-file.ts";
import { openBlob } from "../pack/blob-loader.ts";
import type { BlobType, PackBlob } from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { BlobList } from "../pack/blob-list.ts";
import { PackBuilder } from "../workers/pack-builder.ts";
import type { FinishedPack } from "../workers/protocol.ts";
import type { PruneIndex } from "./prune-index.ts";
import type { UsedBlobs } from "./used-blobs.ts";

const packBytes = 16 << 20;
/** Of a pack, ranges of needed blobs are read in one call if no more than this lies between them, up to so much. */
const maxGapBytes = 256 << 10;
const maxRangeBytes = 32 << 20;
/** As many blobs and packs as a writer lets wait for their index file. */
const blobsPerIndex = 50_000;
const packsPerIndex = 256;

export interface RepackParts {
  readonly files: UnpackedFiles;
  readonly sealer: Sealer;
  readonly index: PruneIndex;
  readonly used: UsedBlobs;
  readonly signal: AbortSignal;
  /** Default 16 MiB. */
  readonly packBytes?: number;
  readonly onPack?: (done: number) => void;
}

/**
 * Copies the needed blobs of these packs into new ones, envelopes as they are, each verified; new packs are durable before
 * the index that names them. Killed anywhere it leaves copies only.
 * @throws HoldfastError REPOSITORY_DAMAGED for a blob that is not what it should be; STORAGE_*, INTERRUPTED
 */
export async function repack(packs: readonly HexId[], parts: RepackParts): Promise<void> {
  const wanted = new Set(packs);
  const sources = new Set<HexId>();
  for (const id of wanted) {
    const file = parts.index.byId.get(id)?.files[0];
    if (file !== undefined) sources.add(file);
  }
  const repacker = new Repacker(parts);
  let done = 0;
  for (const source of sources) {
    for (const pack of (await parts.index.fileOf(source)).packs) {
      if (!wanted.delete(pack.id)) continue;
      await repacker.copy(pack);
      done += 1;
      parts.onPack?.(done);
    }
  }
  await repacker.finish();
}

class Repacker {
  readonly #parts: RepackParts;
  readonly #builders: Readonly<Record<BlobType, PackBuilder>>;
  #finished: FinishedPack[] = [];
  #unindexed: IndexedPack[] = [];
  #unindexedBlobs = 0;

  constructor(parts: RepackParts) {
    this.#parts = parts;
    const common = { session: 0, sealer: parts.sealer, targetBytes: parts.packBytes ?? packBytes };
    const finished = (pack: FinishedPack): void => void this.#finished.push(pack);
    this.#builders = {
      data: new PackBuilder({ ...common, type: "data", finished }),
      tree: new PackBuilder({ ...common, type: "tree", finished }),
    };
  }

  async copy(pack: IndexedPack): Promise<void> {
    for (const range of rangesOf(this.#neededOf(pack))) {
      throwIfAborted(this.#parts.signal);
      const { offset, length } = range;
      const bytes = await loadRange(this.#parts.files.backend, pack.id, offset, length);
      for (const blob of range.blobs) {
        const envelope = bytes.subarray(blob.offset - offset, blob.offset - offset + blob.length);
        const { type, uncompressedLength } = blob;
        const id = Buffer.from(blob.id);
        openBlob(this.#parts.sealer, envelope, { type, id: id.toString("hex"), uncompressedLength, pack: pack.id });
        this.#builders[type].addSealed(id, envelope, uncompressedLength);
        await this.#saveFinished();
      }
    }
  }

  async finish(): Promise<void> {
    this.#builders.data.finish();
    this.#builders.tree.finish();
    await this.#saveFinished();
    await this.#saveIndex();
  }

  /** In the order of the pack. */
  #neededOf(pack: IndexedPack): PackBlob[] {
    const { index, used } = this.#parts;
    const number = index.byId.get(pack.id)?.number;
    return pack.blobs
      .filter(({ type, id }) => {
        const entry = index.blobs.entryOf(type, id);
        return used.has(entry) && index.blobs.locationOf(entry)?.pack === number;
      })
      .sort((a, b) => a.offset - b.offset);
  }

  async #saveFinished(): Promise<void> {
    for (const pack of this.#finished.splice(0)) {
      throwIfAborted(this.#parts.signal);
      await this.#parts.files.backend.save({ type: "data", name: pack.id }, pack.bytes);
      const blobs = [...new BlobList(pack.type, pack.blobs)];
      this.#unindexed.push({ id: pack.id, blobs });
      this.#unindexedBlobs += blobs.length;
      if (this.#unindexedBlobs >= blobsPerIndex || this.#unindexed.length >= packsPerIndex) await this.#saveIndex();
    }
  }

  async #saveIndex(): Promise<void> {
    const packs = this.#unindexed;
    if (packs.length === 0) return;
    this.#unindexed = [];
    this.#unindexedBlobs = 0;
    const { files, index, signal } = this.#parts;
    throwIfAborted(signal);
    index.addSaved(await files.save("index", encodeIndex(packs)), packs);
    for (const { id: pack, blobs } of packs) {
      const number = index.byId.get(pack)?.number ?? 0;
      for (const { type, id, offset, length, uncompressedLength } of blobs) {
        index.blobs.move(index.blobs.entryOf(type, id), { pack: number, offset, length, uncompressedLength });
      }
    }
  }
}

interface BlobRange {
  readonly offset: number;
  length: number;
  readonly blobs: PackBlob[];
}

function rangesOf(blobs: readonly PackBlob[]): BlobRange[] {
  const ranges: BlobRange[] = [];
  for (const blob of blobs) {
    const last = ranges.at(-1);
    const length = last === undefined ? 0 : blob.offset + blob.length - last.offset;
    if (last === undefined || blob.offset - last.offset - last.length > maxGapBytes || length > maxRangeBytes) {
      ranges.push({ offset: blob.offset, length: blob.length, blobs: [blob] });
    } else {
      last.length = length;
      last.blobs.push(blob);
    }
  }
  return ranges;
}
