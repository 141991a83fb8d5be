import { randomInt } from "node:crypto";
import { isHoldfastError, throwIfAborted } from "../../base/index.ts";
import type { Backend } from "../../storage/index.ts";
import { inParallel } from "../in-parallel.ts";
import type { HexId } from "../repository.ts";
import type { CheckedIndex } from "./check-index.ts";
import type { PackFault } from "./check-pack.ts";
import type { Findings } from "./findings.ts";

/** Verifies whole packs, on other threads as a rule. */
export interface PackVerifier {
  /** Packs that it is worth to hand over at a time; as many are in memory. */
  readonly parallel: number;
  /** `checkPack` of these bytes, which are handed over. `fingerprint` is the index's. */
  verify(id: HexId, bytes: Buffer, fingerprint: string): Promise<readonly PackFault[]>;
}

export interface DataCheckOptions {
  /** 0 to 1. */
  readonly ratio: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
}

/** Reads and verifies whole packs, a random share of those in the index. Returns the bytes read. */
export async function checkData(
  backend: Backend,
  verifier: PackVerifier,
  index: CheckedIndex,
  findings: Findings,
  options: DataCheckOptions,
): Promise<number> {
  const packs = choosePacks(Array.from(index.summaries.keys()), options.ratio);
  let done = 0;
  let bytesRead = 0;
  await inParallel(packs, verifier.parallel, async (id) => {
    throwIfAborted(options.signal);
    const fingerprint = index.summaries.get(id)?.fingerprint ?? "";
    let result = await readPack(backend, verifier, id, fingerprint);
    // A fault of memory or of the way here does not come twice.
    if (result.faults.length > 0) result = await readPack(backend, verifier, id, fingerprint);
    report(id, result.faults, findings);
    bytesRead += result.bytes;
    done += 1;
    options.onProgress?.(done, packs.length);
  });
  return bytesRead;
}

async function readPack(
  backend: Backend,
  verifier: PackVerifier,
  id: HexId,
  fingerprint: string,
): Promise<{ readonly bytes: number; readonly faults: readonly PackFault[] }> {
  try {
    const pack = await backend.load({ type: "data", name: id });
    const bytes = pack.length;
    return { bytes, faults: await verifier.verify(id, pack, fingerprint) };
  } catch (error) {
    // That it is missing has been found before.
    if (isHoldfastError(error, "STORAGE_NOT_FOUND")) return { bytes: 0, faults: [] };
    throw error;
  }
}

function report(pack: HexId, faults: readonly PackFault[], findings: Findings): void {
  const blobsKnown = faults.some(({ kind }) => kind === "blob-damaged");
  for (const { kind, message, blob } of faults) {
    if (blob !== undefined) findings.error(kind, message, { part: { kind: blob.type, id: blob.id } });
    else if (blobsKnown || kind === "index-differs") findings.error(kind, message);
    else findings.error(kind, message, { part: { kind: "pack", id: pack } });
  }
}

/** A random choice of `ratio` of the packs, at least one if the ratio is above 0. */
export function choosePacks(packs: HexId[], ratio: number): readonly HexId[] {
  const count = Math.min(packs.length, Math.ceil(packs.length * ratio));
  for (let at = 0; at < count; at += 1) {
    const other = randomInt(at, packs.length);
    const chosen = packs[other] as HexId;
    packs[other] = packs[at] as HexId;
    packs[at] = chosen;
  }
  return packs.slice(0, count);
}
