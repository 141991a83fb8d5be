import { HoldfastError, throwIfAborted } from "../../base/index.ts";
import { damaged } from "../damage.ts";
import { BlobIndex } from "../index/blob-index.ts";
import { decodeIndexFile, type IndexedPack, type IndexFile } from "../index/index-file.ts";
import type { LoadedIndex } from "../index/load-index.ts";
import type { PackMarks } from "../index/pack-marks.ts";
import { packSize } from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";

/** A pack of the index, without its blobs. */
export interface KnownPack {
  readonly id: HexId;
  readonly number: number;
  readonly sizeBytes: number;
  readonly blobs: number;
  readonly mixed: boolean;
  /** Index files that name it; more than one after an interrupted prune. */
  readonly files: HexId[];
}

export interface Mark {
  readonly time: Date;
  readonly orphan: boolean;
}

/**
 * The index as a prune needs it: besides where each blob lies, which file names which pack, and the marks. Of a blob that
 * lies in several packs, the place in a pack without mark counts.
 */
export class PruneIndex {
  readonly blobs = new BlobIndex();
  /** By their numbers. */
  readonly packs: KnownPack[] = [];
  readonly byId = new Map<HexId, KnownPack>();
  /** The newest of each pack. */
  readonly marks = new Map<HexId, Mark>();
  readonly markFiles = new Map<HexId, PackMarks>();
  readonly #files: UnpackedFiles;
  readonly #ids: HexId[] = [];
  readonly #loaded = new Set<HexId>();

  constructor(files: UnpackedFiles) {
    this.#files = files;
  }

  /** For loading blobs. */
  get asLoaded(): LoadedIndex {
    return { blobs: this.blobs, packs: this.#ids };
  }

  /**
   * Reads index files that it has not read yet and returns the packs that came with them. The caller holds a prune's
   * lock, so that none is removed meanwhile. @throws HoldfastError STORAGE_*, REPOSITORY_DAMAGED, REPOSITORY_UNSUPPORTED
   */
  async refresh(signal?: AbortSignal): Promise<HexId[]> {
    const fresh = (await this.#files.ids("index")).filter((id) => !this.#loaded.has(id));
    const before = this.packs.length;
    const decoded = async function* (files: UnpackedFiles, ids: Iterable<HexId>): AsyncGenerator<[HexId, IndexFile]> {
      for (const id of ids) {
        throwIfAborted(signal);
        yield [id, decodeIndexFile(await files.load("index", id), `index ${id}`)];
      }
    };
    for await (const [id, { packs, marks, packsToDelete }] of decoded(this.#files, fresh)) {
      if (packsToDelete) throw otherPrune(id);
      this.#loaded.add(id);
      if (marks !== undefined) this.addMarks(id, marks);
      for (const pack of packs) this.#know(pack, id);
    }
    // Marks may stand in any of the files: their packs come last, and only then are all marks known.
    const late = new Set<HexId>();
    for await (const [id, { packs }] of decoded(this.#files, fresh)) {
      for (const pack of packs) {
        if (this.#isMarked(pack.id)) late.add(id);
        else this.#place(pack);
      }
    }
    for await (const [, { packs }] of decoded(this.#files, late)) {
      for (const pack of packs) if (this.#isMarked(pack.id)) this.#place(pack);
    }
    this.blobs.fit();
    return this.packs.slice(before).map(({ id }) => id);
  }

  /** Takes over a file that this prune has saved. */
  addMarks(file: HexId, marks: PackMarks): void {
    this.#loaded.add(file);
    this.markFiles.set(file, marks);
    const add = (id: HexId, orphan: boolean): void => {
      const known = this.marks.get(id);
      if (known === undefined || known.time < marks.time) this.marks.set(id, { time: marks.time, orphan });
    };
    for (const id of marks.orphans) add(id, true);
    for (const id of marks.packs) add(id, false);
  }

  /** Takes over an index file that this prune has saved. New packs get their numbers. */
  addSaved(file: HexId, packs: readonly IndexedPack[]): void {
    this.#loaded.add(file);
    for (const pack of packs) this.#know(pack, file);
  }

  /** After an index file was removed. */
  dropFile(file: HexId): void {
    for (const { files } of this.packs) {
      const at = files.indexOf(file);
      if (at >= 0) files.splice(at, 1);
    }
  }

  /** Decoded anew, for its blobs. */
  async fileOf(id: HexId): Promise<IndexFile> {
    return decodeIndexFile(await this.#files.load("index", id), `index ${id}`);
  }

  #isMarked(id: HexId): boolean {
    return this.marks.get(id)?.orphan === false;
  }

  #know(pack: IndexedPack, file: HexId): KnownPack {
    const sizeBytes = packSize(pack.blobs);
    const known = this.byId.get(pack.id);
    if (known !== undefined) {
      if (known.sizeBytes !== sizeBytes || known.blobs !== pack.blobs.length) {
        throw damaged(`Two index files say different things of the pack ${pack.id}, one of them ${file}.`, {
          pack: pack.id,
        });
      }
      if (!known.files.includes(file)) known.files.push(file);
      return known;
    }
    const mixed = pack.blobs.some(({ type }) => type !== pack.blobs[0]?.type);
    const number = this.packs.length;
    const made = { id: pack.id, number, sizeBytes, blobs: pack.blobs.length, mixed, files: [file] };
    this.packs.push(made);
    this.#ids.push(pack.id);
    this.byId.set(pack.id, made);
    return made;
  }

  #place(pack: IndexedPack): void {
    const number = this.byId.get(pack.id)?.number;
    if (number === undefined) return;
    const safe = this.marks.size > 0 && !this.#isMarked(pack.id);
    for (const { type, id, offset, length, uncompressedLength } of pack.blobs) {
      const location = { pack: number, offset, length, uncompressedLength };
      const entry = safe ? this.blobs.entryOf(type, id) : 0;
      // Stored again because the pack that has it is marked.
      if (entry > 0 && this.#liesInMarked(entry)) this.blobs.move(entry, location);
      else this.blobs.place(type, id, location);
    }
  }

  #liesInMarked(entry: number): boolean {
    const pack = this.packs[this.blobs.locationOf(entry)?.pack ?? -1];
    return pack !== undefined && this.#isMarked(pack.id);
  }
}

function otherPrune(file: HexId): HoldfastError {
  return new HoldfastError(
    "REPOSITORY_UNSUPPORTED",
    `The index ${file} lists packs that rustic is about to delete; rustic's prune and Holdfast's do not know each other.`,
    { facts: { index: file }, remedy: "Finish with `rustic prune`, or let `restic prune` tidy up once." },
  );
}
