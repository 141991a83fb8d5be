import { loadRange } from "../content/locate-blob.ts";
import type { Sealer } from "../crypto/envelope.ts";
import { encodeMarks, splitMarks } from "../index/pack-marks.ts";
import { openBlob } from "../pack/blob-loader.ts";
import type { PackBlob } from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { blobsOf } from "./examine-pack.ts";
import { PackWriter } from "./pack-writer.ts";
import type { IndexPlan } from "./plan-index.ts";
import type { ReadableIndex } from "./readable-index.ts";
import { eachPackOf } from "./survey-index.ts";

export interface ApplyParts {
  readonly files: UnpackedFiles;
  readonly sealer: Sealer;
  readonly signal: AbortSignal;
  /** Throws if the lock is lost. Asked right before anything is removed. */
  readonly confirm: () => void;
}

/**
 * Copies what was salvaged into new packs, marks the damaged ones, writes the new index files, and only then removes the old
 * ones. No pack is ever removed. Killed anywhere, every blob that could be read can still be, and another repair goes on.
 * @throws HoldfastError STORAGE_*, REPOSITORY_LOCKED, INTERRUPTED
 */
export async function applyIndexPlan(plan: IndexPlan, readable: ReadableIndex, parts: ApplyParts): Promise<void> {
  const { files, sealer, signal, confirm } = parts;
  const writer = new PackWriter(files, sealer, signal);
  for (const [pack, blobs] of readable.salvage) await salvage(pack, blobs, writer, parts);
  await writer.flush();
  // While an index still names them: a repair that finds them in no index and not marked believes their headers.
  if (plan.mark.length > 0) {
    const marks = { time: new Date(), packs: [], orphans: plan.mark };
    for (const part of splitMarks(marks)) await files.save("index", encodeMarks(part));
  }
  for (const pack of plan.add) await writer.addToIndex({ id: pack.id, blobs: blobsOf(pack) });
  await keepPacks(plan, writer, parts);
  await writer.finish();
  for (const name of [...plan.replace, ...plan.undecodable]) {
    confirm();
    await files.backend.remove({ type: "index", name });
  }
}

/** True if the index is as it should be, and nothing has to be done. */
export function isIndexSound(plan: IndexPlan, readable: ReadableIndex): boolean {
  const lists = [plan.replace, plan.undecodable, plan.add, plan.mark];
  return lists.every(({ length }) => length === 0) && readable.salvage.size === 0;
}

async function salvage(
  pack: HexId,
  blobs: readonly PackBlob[],
  writer: PackWriter,
  { files, sealer }: ApplyParts,
): Promise<void> {
  for (const { type, id, offset, length, uncompressedLength } of blobs) {
    const envelope = await loadRange(files.backend, pack, offset, length);
    openBlob(sealer, envelope, { type, id: Buffer.from(id).toString("hex"), uncompressedLength, pack });
    await writer.addSealed(type, id, envelope, uncompressedLength);
  }
}

/** Packs that the old index files name rightly. */
async function keepPacks(plan: IndexPlan, writer: PackWriter, { files, signal }: ApplyParts): Promise<void> {
  const left = new Set(plan.keep);
  for (const file of plan.replace) {
    const packs: Parameters<PackWriter["addToIndex"]>[0][] = [];
    await eachPackOf(files, [file], signal, (pack) => {
      if (left.delete(pack.id)) packs.push(pack);
    });
    for (const pack of packs) await writer.addToIndex(pack);
  }
}
