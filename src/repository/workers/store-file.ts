import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { messageOf, systemErrorCode } from "../../base/index.ts";
import type { FileStamp } from "../../component/index.ts";
import { joinIds } from "./join-ids.ts";
import type { StoredFile } from "./protocol.ts";
import type { StoreSession } from "./store-session.ts";

const tries = 3;
/** Bytes a read call: fits the processor's cache until they are hashed. */
const readBytes = 1 << 20;
/** From here on of the chunker's buffer, the chunk that is being scanned moves to its start once another has ended. */
const usualBytes = 3 << 20;

/** O_NONBLOCK: a pipe that took the file's place must not block. */
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

function openFile(path: Buffer): number {
  try {
    return openSync(path, flags | constants.O_NOATIME);
  } catch (error) {
    // Only a file's owner (and root) may ask for O_NOATIME.
    if (systemErrorCode(error) !== "EPERM") throw error;
    return openSync(path, flags);
  }
}

/** Reads, cuts and stores one file, again if it changed meanwhile. What the system refuses is a result. */
export function storeFile(session: StoreSession, path: Uint8Array): StoredFile {
  let fd: number | undefined;
  try {
    fd = openFile(Buffer.from(path.buffer, path.byteOffset, path.length));
    for (let attempt = 1; ; attempt += 1) {
      const before = fstatSync(fd, { bigint: true });
      if (!before.isFile()) return { status: "failed", code: "EINVAL", message: "It is not a regular file." };
      const size = Number(before.size);
      const { blobIds, sizeBytes } = readBlobs(session, fd, size);
      const after = fstatSync(fd, { bigint: true });
      const steady =
        sizeBytes === size &&
        before.size === after.size &&
        before.mtimeNs === after.mtimeNs &&
        before.ctimeNs === after.ctimeNs;
      const stamp: FileStamp = {
        sizeBytes: Number(after.size),
        mtimeNs: after.mtimeNs,
        ctimeNs: after.ctimeNs,
        inode: after.ino,
      };
      if (steady) return { status: "stored", sizeBytes, blobIds, stamp };
      if (attempt === tries) return { status: "changing", sizeBytes, blobIds, stamp };
    }
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined || !isSystemCall(error)) throw error;
    return { status: "failed", code, message: messageOf(error) };
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Errors of libuv's file calls, as opposed to those of node's own checks (ERR_...). */
function isSystemCall(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

function readBlobs(session: StoreSession, fd: number, size: number): { blobIds: Uint8Array; sizeBytes: number } {
  const { chunker } = session;
  const { buffer } = chunker;
  const ids: Buffer[] = [];
  chunker.reset();
  let total = 0;
  let start = 0;
  let end = 0;
  for (;;) {
    // Whether it has grown beyond its size shows in the second fstat: no read to find the end.
    const room = Math.min(buffer.length - end, readBytes, Math.max(1, size - total));
    const count = size > 0 && total === size ? 0 : readSync(fd, buffer, end, room, total);
    if (count === 0) break;
    const scanFrom = end;
    total += count;
    end += count;
    let at = scanFrom;
    for (let cut = chunker.scan(at, end); cut !== 0; cut = chunker.scan(at, end)) {
      ids.push(session.store("data", buffer.subarray(start, cut)));
      start = cut;
      at = cut;
    }
    // Most chunks end long before the buffer does: what is not touched takes no memory, and no cache.
    if (buffer.length - end >= readBytes && (start === 0 || end < usualBytes)) continue;
    buffer.copyWithin(0, start, end);
    end -= start;
    start = 0;
  }
  if (end > start) ids.push(session.store("data", buffer.subarray(start, end)));
  return { blobIds: joinIds(ids), sizeBytes: total };
}
