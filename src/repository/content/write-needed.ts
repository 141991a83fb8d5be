import type { WriteFileResult } from "../../component/index.ts";
import { type BlobWrite, encodeWrites } from "./blob-writes.ts";
import type { ReadSession } from "./create-content-reader.ts";
import { loadRange, packOf } from "./locate-blob.ts";
import { ownMemory } from "./read-content.ts";

/** Bytes that are loaded in one go, unless one blob is larger. */
const rangeBytes = 4 << 20;
/** Unneeded bytes between two blobs that are loaded along, to spare another request. */
const gapBytes = 128 << 10;

/** Loads blobs, each part of a pack once, and has the workers write them. Files that refuse are noted in `results`. */
export async function writeNeeded(
  read: ReadSession,
  needs: BlobWrite[],
  results: WriteFileResult[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const ranges = planRanges(needs).map((range) => writeRange(read, range, results, signal));
  // All end before any error is thrown: the files they write to are closed then.
  for (const ended of await Promise.allSettled(ranges)) if (ended.status === "rejected") throw ended.reason;
}

/** Groups blobs into parts of packs that are loaded in one go, in the packs' order; sorts `needs`. */
export function planRanges(needs: BlobWrite[]): BlobWrite[][] {
  needs.sort((a, b) => a.pack - b.pack || a.offset - b.offset);
  const ranges: BlobWrite[][] = [];
  let range: BlobWrite[] = [];
  for (const next of needs) {
    const first = range[0];
    const last = range.at(-1);
    if (first !== undefined && last !== undefined && !fits(next, first, last)) {
      ranges.push(range);
      range = [];
    }
    range.push(next);
  }
  if (range.length > 0) ranges.push(range);
  return ranges;
}

function fits(next: BlobWrite, first: BlobWrite, last: BlobWrite): boolean {
  if (next.pack !== last.pack) return false;
  // The same blob for another place.
  if (next.offset === last.offset) return true;
  const gap = next.offset - (last.offset + last.length);
  return gap <= gapBytes && next.offset + next.length - first.offset <= rangeBytes;
}

async function writeRange(
  read: ReadSession,
  range: readonly BlobWrite[],
  results: WriteFileResult[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const first = range[0] as BlobWrite;
  const last = range.at(-1) as BlobWrite;
  const length = last.offset + last.length - first.offset;
  const pack = packOf(read.index, first.pack);
  const release = await read.room.acquire(length, signal);
  try {
    const bytes = ownMemory(await loadRange(read.backend, pack, first.offset, length));
    const writes = encodeWrites(range, first.offset);
    const job = { kind: "write-blobs", session: read.session, pack, bytes, writes } as const;
    const written = await read.pool.run(job, { transfer: [bytes.buffer, writes.buffer], signal });
    for (const { file, failed } of written.failures) results[file] = failed;
    for (const file of written.ownersMissed) {
      results[file] = { status: "written", reusedBytes: 0, properties: "owner-missed" };
    }
  } finally {
    release();
  }
}
