import { throwIfAborted } from "../../base/index.ts";
import { inParallel } from "../in-parallel.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { BlobIndex } from "./blob-index.ts";
import { decodeIndex, type IndexedPack } from "./index-file.ts";

/** Index files in memory at a time while loading: each has up to 50,000 blobs. */
const loadedAtOnce = 4;

/** All index files of a repository. */
export interface LoadedIndex {
  readonly blobs: BlobIndex;
  /** Ids of the packs by the numbers that `blobs` gives them. */
  readonly packs: HexId[];
}

/**
 * Reads every index file into a lookup table. List the snapshots first, or a fresh one may miss its index.
 * @throws HoldfastError STORAGE_*, REPOSITORY_DAMAGED naming the index, INTERRUPTED
 */
export async function loadIndex(files: UnpackedFiles, signal?: AbortSignal): Promise<LoadedIndex> {
  const blobs = new BlobIndex();
  const packs: HexId[] = [];
  const numbers = new Map<HexId, number>();
  const visit = (pack: IndexedPack): void => {
    let number = numbers.get(pack.id);
    if (number === undefined) {
      number = packs.push(pack.id) - 1;
      numbers.set(pack.id, number);
    }
    for (const { type, id, offset, length, uncompressedLength } of pack.blobs) {
      blobs.place(type, id, { pack: number, offset, length, uncompressedLength });
    }
  };
  await eachIndexedPack(files, visit, signal);
  blobs.fit();
  return { blobs, packs };
}

/** Hands over every pack of every index file; a pack that two files name comes twice. Errors as of `loadIndex`. */
export async function eachIndexedPack(
  files: UnpackedFiles,
  visit: (pack: IndexedPack) => void,
  signal?: AbortSignal,
): Promise<void> {
  await inParallel(await files.ids("index"), loadedAtOnce, async (id) => {
    throwIfAborted(signal);
    for (const pack of decodeIndex(await files.load("index", id), `index ${id}`)) visit(pack);
  });
}
