import { isHoldfastError, throwIfAborted } from "../../base/index.ts";
import { inParallel } from "../in-parallel.ts";
import { BlobIndex } from "../index/blob-index.ts";
import { decodeIndex, type IndexedPack } from "../index/index-file.ts";
import type { LoadedIndex } from "../index/load-index.ts";
import { packFingerprint } from "../pack/pack-fingerprint.ts";
import { packSize } from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import type { Findings } from "./findings.ts";

/** What the index says of a pack, in few bytes. */
export interface PackSummary {
  readonly sizeBytes: number;
  /** Of all its blobs, to compare with the pack's own header. */
  readonly fingerprint: string;
}

export interface CheckedIndex extends LoadedIndex {
  readonly summaries: Map<HexId, PackSummary>;
  blobCount: number;
}

const loadedAtOnce = 2;

/** Decodes every index file and loads what is good. */
export async function checkIndex(
  files: UnpackedFiles,
  findings: Findings,
  signal?: AbortSignal,
): Promise<CheckedIndex> {
  const index: CheckedIndex = { blobs: new BlobIndex(), packs: [], summaries: new Map(), blobCount: 0 };
  await inParallel(await files.ids("index"), loadedAtOnce, async (id) => {
    throwIfAborted(signal);
    let packs: readonly IndexedPack[];
    try {
      packs = decodeIndex(await files.load("index", id), `index ${id}`);
    } catch (error) {
      // A prune's marks, or what it had written twice: during a check, nothing else goes.
      if (isHoldfastError(error, "STORAGE_NOT_FOUND")) return;
      if (!isHoldfastError(error, "REPOSITORY_DAMAGED")) throw error;
      findings.error("index-undecodable", error.message);
      return;
    }
    for (const pack of packs) addPack(index, pack, id, findings);
  });
  index.blobs.fit();
  return index;
}

function addPack(index: CheckedIndex, pack: IndexedPack, file: HexId, findings: Findings): void {
  const blobs = pack.blobs.toSorted((a, b) => a.offset - b.offset);
  const summary = { sizeBytes: packSize(blobs), fingerprint: packFingerprint(blobs) };
  const known = index.summaries.get(pack.id);
  if (known !== undefined) {
    if (known.fingerprint === summary.fingerprint) {
      findings.hint("pack-indexed-twice", `The pack ${pack.id} is in more than one index file, one of them ${file}.`);
    } else {
      findings.error("index-conflict", `The index ${file} contradicts another one about the pack ${pack.id}.`);
    }
    return;
  }
  index.summaries.set(pack.id, summary);
  index.blobCount += blobs.length;
  const number = index.packs.push(pack.id) - 1;
  let end = 0;
  for (const { type, id, offset, length, uncompressedLength } of blobs) {
    if (offset !== end) {
      findings.error("index-gap", `The index ${file} leaves a gap in the pack ${pack.id} before offset ${offset}.`);
    }
    end = offset + length;
    index.blobs.place(type, id, { pack: number, offset, length, uncompressedLength });
  }
  if (blobs.some(({ type }) => type !== blobs[0]?.type)) {
    findings.hint("pack-mixed", `The pack ${pack.id} holds both data and trees.`);
  }
}
