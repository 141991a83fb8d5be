import { throwIfAborted } from "../../base/index.ts";
import { damaged, readTwice } from "../damage.ts";
import { type IndexFile, decodeIndexFile, type IndexedPack } from "../index/index-file.ts";
import { packFingerprint } from "../pack/pack-fingerprint.ts";
import { packSize, type PackBlob } from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import type { FoundIndex, FoundPack, IndexSurvey } from "./plan-index.ts";

/**
 * Lists packs and reads index files, twice those that seem damaged; no pack is examined yet. The caller holds the repository
 * alone. @throws HoldfastError STORAGE_*, INTERRUPTED
 */
export async function surveyIndex(files: UnpackedFiles, signal: AbortSignal): Promise<IndexSurvey> {
  const stored = new Map<HexId, number>();
  for await (const { name, sizeBytes } of files.backend.list("data")) stored.set(name, sizeBytes);
  const indexes: FoundIndex[] = [];
  const markedOrphans = new Set<HexId>();
  for (const id of await files.ids("index")) {
    throwIfAborted(signal);
    const file = await readIndex(files, id);
    indexes.push({ id, packs: file?.packs.map(foundPack) });
    for (const orphan of file?.marks?.orphans ?? []) markedOrphans.add(orphan);
  }
  return { indexes, stored, markedOrphans, examined: new Map() };
}

function foundPack({ id, blobs: listed }: IndexedPack): FoundPack {
  const blobs = listed.toSorted((a, b) => a.offset - b.offset);
  return { id, sizeBytes: followEachOther(blobs) ? packSize(blobs) : undefined, fingerprint: packFingerprint(blobs) };
}

function followEachOther(blobs: readonly PackBlob[]): boolean {
  let end = 0;
  for (const { offset, length } of blobs) {
    if (offset !== end) return false;
    end += length;
  }
  return end > 0;
}

/**
 * Hands over the packs that index files name which the survey could read.
 * @throws HoldfastError REPOSITORY_DAMAGED for one that can be read no more, STORAGE_*, INTERRUPTED
 */
export async function eachPackOf(
  files: UnpackedFiles,
  ids: Iterable<HexId>,
  signal: AbortSignal,
  visit: (pack: IndexedPack, file: HexId) => void,
): Promise<void> {
  for (const id of ids) {
    throwIfAborted(signal);
    const file = await readIndex(files, id);
    if (file === undefined) throw damaged(`The index ${id} could be read a moment ago, and cannot be read now.`);
    for (const pack of file.packs) visit(pack, id);
  }
}

/** Undefined if it is damaged. */
function readIndex(files: UnpackedFiles, id: HexId): Promise<IndexFile | undefined> {
  return readTwice(async () => decodeIndexFile(await files.load("index", id), `index ${id}`));
}
