import { isHoldfastError, throwIfAborted } from "../../base/index.ts";
import { inParallel } from "../in-parallel.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import type { BlobType } from "../pack/pack-format.ts";
import { BlobIndex, type BlobLocation } from "./blob-index.ts";
import { type IndexVisitor, visitIndexText } from "./index-text.ts";
import { decodeIndex, decodeIndexFile, type IndexedPack } from "./index-file.ts";
import { maxMarkFileBytes } from "./pack-marks.ts";

/** Index files in memory at a time while loading: each has up to 50,000 blobs. */
const loadedAtOnce = 4;

/** All index files of a repository. */
export interface LoadedIndex {
  /** What new snapshots may rely on. */
  readonly blobs: BlobIndex;
  /** Blobs in packs that a prune has marked, to be read as long as they are there; absent if there are none. */
  readonly marked?: BlobIndex;
  /** Ids of the packs by the numbers that `blobs` and `marked` give them. */
  readonly packs: HexId[];
}

/** Where the blob can be read. */
export function locateForReading(index: LoadedIndex, type: BlobType, id: Uint8Array): BlobLocation | undefined {
  return index.blobs.locate(type, id) ?? index.marked?.locate(type, id);
}

/**
 * Reads every index file into a lookup table. List the snapshots first, or a fresh one may miss its index. A prune may
 * exchange index files meanwhile.
 * @throws HoldfastError STORAGE_*, REPOSITORY_DAMAGED naming the index, INTERRUPTED
 */
export async function loadIndex(files: UnpackedFiles, signal?: AbortSignal): Promise<LoadedIndex> {
  for (;;) {
    const loaded = await unlessFilesVanish(() => tryLoadIndex(files, signal));
    if (loaded !== undefined) return loaded;
  }
}

/** Undefined if a prune removed an index file between list and load: everything must be listed anew. */
async function unlessFilesVanish<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isHoldfastError(error, "STORAGE_NOT_FOUND")) return undefined;
    throw error;
  }
}

async function tryLoadIndex(files: UnpackedFiles, signal?: AbortSignal): Promise<LoadedIndex | undefined> {
  const loader = new IndexLoader(files, signal);
  const infos = await listIndex(files);
  const marks = await loader.markedPacks(infos);
  const builder = new IndexBuilder(marks);
  await loader.addTo(builder, infos);
  // A list is not one moment's: what was exchanged while it was read may have escaped it. Marks must not.
  const seen = new Set(infos.map(({ name }) => name));
  const later = (await listIndex(files)).filter(({ name }) => !seen.has(name));
  if ((await loader.markedPacks(later)).size > 0) return undefined;
  await loader.addTo(builder, later);
  return builder.finish();
}

interface IndexFileInfo {
  readonly name: HexId;
  readonly sizeBytes: number;
}

async function listIndex(files: UnpackedFiles): Promise<IndexFileInfo[]> {
  const infos: IndexFileInfo[] = [];
  for await (const info of files.backend.list("index")) infos.push(info);
  return infos.sort((a, b) => (a.name < b.name ? -1 : 1));
}

class IndexLoader {
  readonly #files: UnpackedFiles;
  readonly #signal: AbortSignal | undefined;

  constructor(files: UnpackedFiles, signal: AbortSignal | undefined) {
    this.#files = files;
    this.#signal = signal;
  }

  /** Packs that any of the files marks. */
  async markedPacks(infos: readonly IndexFileInfo[]): Promise<Set<HexId>> {
    const marked = new Set<HexId>();
    const small = infos.filter(({ sizeBytes }) => sizeBytes <= maxMarkFileBytes);
    await inParallel(small, loadedAtOnce, async ({ name }) => {
      throwIfAborted(this.#signal);
      const { marks } = decodeIndexFile(await this.#files.load("index", name), `index ${name}`);
      for (const id of marks?.packs ?? []) marked.add(id);
    });
    return marked;
  }

  async addTo(builder: IndexBuilder, infos: readonly IndexFileInfo[]): Promise<void> {
    await inParallel(infos, loadedAtOnce, async ({ name }) => {
      throwIfAborted(this.#signal);
      const json = await this.#files.load("index", name);
      if (visitIndexText(json, builder)) return;
      for (const { id, blobs } of decodeIndex(json, `index ${name}`)) {
        builder.pack(id);
        for (const { type, id: blobId, ...location } of blobs) builder.blob(type, blobId, location);
      }
    });
  }

  async eachPack(infos: readonly IndexFileInfo[], visit: (pack: IndexedPack) => void): Promise<void> {
    await inParallel(infos, loadedAtOnce, async ({ name }) => {
      throwIfAborted(this.#signal);
      for (const pack of decodeIndex(await this.#files.load("index", name), `index ${name}`)) visit(pack);
    });
  }
}

class IndexBuilder implements IndexVisitor {
  readonly #blobs = new BlobIndex();
  readonly #packs: HexId[] = [];
  readonly #numbers = new Map<HexId, number>();
  readonly #marks: ReadonlySet<HexId>;
  readonly #marked: BlobIndex | undefined;
  /** Of the pack whose blobs come. */
  #number = 0;
  #into: BlobIndex;

  constructor(marks: ReadonlySet<HexId>) {
    this.#marks = marks;
    this.#marked = marks.size === 0 ? undefined : new BlobIndex();
    this.#into = this.#blobs;
  }

  pack(id: HexId): void {
    let number = this.#numbers.get(id);
    if (number === undefined) {
      number = this.#packs.push(id) - 1;
      this.#numbers.set(id, number);
    }
    this.#number = number;
    this.#into = this.#marks.has(id) ? (this.#marked ?? this.#blobs) : this.#blobs;
  }

  blob(type: BlobType, id: Uint8Array, { offset, length, uncompressedLength }: Omit<BlobLocation, "pack">): void {
    this.#into.place(type, id, { pack: this.#number, offset, length, uncompressedLength });
  }

  finish(): LoadedIndex {
    this.#blobs.fit();
    this.#marked?.fit();
    return {
      blobs: this.#blobs,
      packs: this.#packs,
      ...(this.#marked === undefined ? {} : { marked: this.#marked }),
    };
  }
}

/**
 * Hands over every pack of every index file; a pack that two files name comes twice. The caller holds a lock for checking,
 * so that a prune removes no file meanwhile but its marks and its doubles. Errors as of `loadIndex`.
 */
export async function eachIndexedPack(
  files: UnpackedFiles,
  visit: (pack: IndexedPack) => void,
  signal?: AbortSignal,
): Promise<void> {
  const loader = new IndexLoader(files, signal);
  for (const info of await listIndex(files)) await unlessFilesVanish(() => loader.eachPack([info], visit));
}
