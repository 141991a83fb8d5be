import { throwIfAborted } from "../../base/index.ts";
import type { StoredContent } from "../../component/index.ts";
import type { ReadSession } from "./create-content-reader.ts";
import { loadRange, locateBlob, type LocatedBlob } from "./locate-blob.ts";
import { damaged } from "../damage.ts";

/** Plaintext of neighbouring blobs that are loaded together, at most, unless one blob is larger. */
const rangeBytes = 4 << 20;
const rangesAhead = 3;

/** The bytes of a content in order; see ContentReader.read. */
export async function* readContent(
  read: ReadSession,
  content: StoredContent,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const ahead: Promise<readonly Uint8Array[]>[] = [];
  const ranges = contentRanges(read, content);
  let sizeBytes = 0;
  try {
    for (;;) {
      throwIfAborted(signal);
      while (ahead.length < rangesAhead) {
        const next = ranges.next();
        if (next.done === true) break;
        const loading = loadBlobs(read, next.value, signal);
        // Its error is thrown when its turn comes.
        loading.catch(() => undefined);
        ahead.push(loading);
      }
      const pieces = await ahead.shift();
      if (pieces === undefined) break;
      for (const piece of pieces) {
        sizeBytes += piece.length;
        yield piece;
      }
    }
  } finally {
    await Promise.allSettled(ahead);
  }
  checkSize(content, sizeBytes);
}

/** @throws HoldfastError REPOSITORY_DAMAGED if the blobs are not as long together as the content is said to be */
export function checkSize(content: StoredContent, blobBytes: number): void {
  if (blobBytes === content.sizeBytes) return;
  throw damaged(`A file of ${content.sizeBytes} bytes has blobs of ${blobBytes} bytes.`, {
    sizeBytes: content.sizeBytes,
    blobBytes,
  });
}

/** Blobs that follow each other both in the content and in a pack. */
function* contentRanges(read: ReadSession, { blobIds }: StoredContent): Generator<LocatedBlob[]> {
  let range: LocatedBlob[] = [];
  let bytes = 0;
  for (let at = 0; at < blobIds.length; at += 32) {
    const blob = locateBlob(read.index, "data", blobIds.subarray(at, at + 32));
    const last = range.at(-1);
    const follows = last !== undefined && last.pack === blob.pack && last.offset + last.length === blob.offset;
    if (last !== undefined && (!follows || bytes + blob.sizeBytes > rangeBytes)) {
      yield range;
      range = [];
      bytes = 0;
    }
    range.push(blob);
    bytes += blob.sizeBytes;
  }
  if (range.length > 0) yield range;
}

async function loadBlobs(
  read: ReadSession,
  blobs: readonly LocatedBlob[],
  signal: AbortSignal | undefined,
): Promise<readonly Uint8Array[]> {
  const first = blobs[0] as LocatedBlob;
  const last = blobs.at(-1) as LocatedBlob;
  const length = last.offset + last.length - first.offset;
  const bytes = ownMemory(await loadRange(read.backend, first.pack, first.offset, length));
  const job = {
    kind: "read-blobs",
    session: read.session,
    bytes,
    blobs: blobs.map((blob) => ({ ...blob, offset: blob.offset - first.offset })),
  } as const;
  return read.pool.run(job, { transfer: [bytes.buffer], signal });
}

/** The bytes in memory that can be handed over: a copy where they are part of a pool. */
export function ownMemory(bytes: Buffer): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) return new Uint8Array(buffer);
  return new Uint8Array(bytes);
}
