import type { WriteFileResult } from "../../component/index.ts";
import type { BlobTarget } from "../workers/protocol.ts";
import type { ReadSession } from "./create-content-reader.ts";
import { loadRange, type LocatedBlob } from "./locate-blob.ts";
import { ownMemory } from "./read-content.ts";

/** Bytes that are loaded in one go, unless one blob is larger. */
const rangeBytes = 4 << 20;
/** Unneeded bytes between two blobs that are loaded along, to spare another request. */
const gapBytes = 128 << 10;

export interface NeededBlob {
  readonly blob: LocatedBlob;
  readonly target: BlobTarget;
}

interface BlobInRange {
  readonly blob: LocatedBlob;
  readonly targets: BlobTarget[];
}

/** Loads blobs, each part of a pack once, and has the workers write them. Files that refuse are noted in `results`. */
export async function writeNeeded(
  read: ReadSession,
  needs: readonly NeededBlob[],
  results: WriteFileResult[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const ranges = planRanges(needs).map((range) => writeRange(read, range, results, signal));
  // All end before any error is thrown: the files they write to are closed then.
  for (const ended of await Promise.allSettled(ranges)) if (ended.status === "rejected") throw ended.reason;
}

/** Groups blobs by pack into parts of it that are loaded in one go; a blob with several targets comes once. */
export function planRanges(needs: readonly NeededBlob[]): BlobInRange[][] {
  const packs = new Map<string, Map<number, BlobInRange>>();
  for (const { blob, target } of needs) {
    let pack = packs.get(blob.pack);
    if (pack === undefined) packs.set(blob.pack, (pack = new Map()));
    const known = pack.get(blob.offset);
    if (known === undefined) pack.set(blob.offset, { blob, targets: [target] });
    else known.targets.push(target);
  }
  const ranges: BlobInRange[][] = [];
  for (const pack of packs.values()) {
    const sorted = [...pack.values()].sort((a, b) => a.blob.offset - b.blob.offset);
    let range: BlobInRange[] = [];
    for (const next of sorted) {
      const first = range[0]?.blob;
      const last = range.at(-1)?.blob;
      const end = next.blob.offset + next.blob.length;
      if (first !== undefined && last !== undefined) {
        const gap = next.blob.offset - (last.offset + last.length);
        if (gap > gapBytes || end - first.offset > rangeBytes) {
          ranges.push(range);
          range = [];
        }
      }
      range.push(next);
    }
    if (range.length > 0) ranges.push(range);
  }
  return ranges;
}

async function writeRange(
  read: ReadSession,
  range: readonly BlobInRange[],
  results: WriteFileResult[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const first = (range[0] as BlobInRange).blob;
  const last = (range.at(-1) as BlobInRange).blob;
  const length = last.offset + last.length - first.offset;
  const release = await read.room.acquire(length, signal);
  try {
    const bytes = ownMemory(await loadRange(read.backend, first.pack, first.offset, length));
    const job = {
      kind: "write-blobs",
      session: read.session,
      bytes,
      blobs: range.map(({ blob, targets }) => ({ ...blob, offset: blob.offset - first.offset, targets })),
    } as const;
    const failures = await read.pool.run(job, { transfer: [bytes.buffer], signal });
    for (const { file, failed } of failures) results[file] = failed;
  } finally {
    release();
  }
}
