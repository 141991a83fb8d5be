import { randomInt } from "node:crypto";
import { isHoldfastError, throwIfAborted } from "../../base/index.ts";
import type { Backend } from "../../storage/index.ts";
import { inParallel } from "../in-parallel.ts";
import type { DataCoverage, HexId } from "../repository.ts";
import type { CheckedIndex } from "./check-index.ts";
import type { PackFault } from "./check-pack.ts";
import type { Findings } from "./findings.ts";
import type { PackReads, ReadHistory } from "./read-history.ts";

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
  readonly history: ReadHistory;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
}

/** Killed, a check forgets what it has read for so long at most. */
const saveEveryMs = 30_000;

/** Reads and verifies whole packs: a share of those in the index, the least recently read first. Returns the bytes read. */
export async function checkData(
  backend: Backend,
  verifier: PackVerifier,
  index: CheckedIndex,
  findings: Findings,
  options: DataCheckOptions,
): Promise<number> {
  const { history } = options;
  const packs = choosePacks(Array.from(index.summaries.keys()), options.ratio, await history.load());
  const isKnown = (pack: HexId): boolean => index.summaries.has(pack);
  let reads: PackReads = new Map();
  let savedAt = Date.now();
  let done = 0;
  let bytesRead = 0;
  const remember = async (): Promise<void> => {
    const added = reads;
    reads = new Map();
    savedAt = Date.now();
    if (added.size > 0) await history.add(added, isKnown);
  };
  try {
    await inParallel(packs, verifier.parallel, async (id) => {
      throwIfAborted(options.signal);
      const fingerprint = index.summaries.get(id)?.fingerprint ?? "";
      let result = await readPack(backend, verifier, id, fingerprint);
      // A fault of memory or of the way here does not come twice.
      if (result.faults.length > 0) result = await readPack(backend, verifier, id, fingerprint);
      report(id, result.faults, findings);
      // A damaged one comes first the next time, too.
      if (result.faults.length === 0 && result.bytes > 0) reads.set(id, Math.floor(Date.now() / 1000));
      bytesRead += result.bytes;
      done += 1;
      options.onProgress?.(done, packs.length);
      if (Date.now() - savedAt > saveEveryMs) await remember();
    });
  } finally {
    await remember();
  }
  return bytesRead;
}

/** How much of what the index names has ever been read. */
export function coverageOf(index: CheckedIndex, reads: PackReads): DataCoverage {
  let packs = 0;
  let bytes = 0;
  let bytesTotal = 0;
  let oldest = Number.POSITIVE_INFINITY;
  for (const [pack, { sizeBytes }] of index.summaries) {
    bytesTotal += sizeBytes;
    const time = reads.get(pack);
    if (time === undefined) continue;
    packs += 1;
    bytes += sizeBytes;
    oldest = Math.min(oldest, time);
  }
  const since = packs === 0 ? undefined : new Date(oldest * 1000);
  return { packs, packsTotal: index.summaries.size, bytes, bytesTotal, since };
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

/**
 * `ratio` of the packs, at least one if the ratio is above 0: never read ones first, then the least recently read; by chance
 * among equals, so that the same few are not left for last each time the history is lost.
 */
export function choosePacks(packs: HexId[], ratio: number, reads: PackReads): readonly HexId[] {
  const count = Math.min(packs.length, Math.ceil(packs.length * ratio));
  for (let at = 0; at < packs.length - 1; at += 1) {
    const other = randomInt(at, packs.length);
    const chosen = packs[other] as HexId;
    packs[other] = packs[at] as HexId;
    packs[at] = chosen;
  }
  return packs.sort((a, b) => (reads.get(a) ?? 0) - (reads.get(b) ?? 0)).slice(0, count);
}
