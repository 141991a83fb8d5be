import { hash } from "node:crypto";
import { chmodSync, closeSync, constants, copyFileSync, fstatSync, ftruncateSync, openSync, readSync } from "node:fs";
import { systemErrorCode } from "../../base/index.ts";
import type { FileToReuse, ReuseResult } from "./protocol.ts";
import { createFile, refusal, writeSparse } from "./write-file.ts";

const candidateFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** What file systems answer that cannot clone this file to that place. */
const cannotClone: ReadonlySet<string | undefined> = new Set([
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
  "EXDEV",
  "EINVAL",
  "ENOTTY",
  "EPERM",
  "EACCES",
  "ETXTBSY",
]);

/** Fills files from their candidates. If it throws, none of them is left open. */
export function reuseFiles(files: readonly FileToReuse[]): ReuseResult[] {
  const results: ReuseResult[] = [];
  try {
    for (const file of files) results.push(reuseFile(file));
  } catch (error) {
    for (const result of results) if (result.status === "reused" && result.fd !== -1) closeSync(result.fd);
    throw error;
  }
  return results;
}

/**
 * Makes a file from a candidate that may hold the same bytes: a clone where the file system can, else a copy of the
 * pieces that are equal. Every piece is hashed as it stands in the new file or in memory, so a candidate that changes
 * meanwhile does no harm.
 */
function reuseFile(file: FileToReuse): ReuseResult {
  const source = openCandidate(Buffer.from(file.candidate));
  let fd: number | undefined;
  try {
    const path = Buffer.from(file.path);
    const cloned = source !== undefined && clone(source, path);
    fd = cloned ? openSync(path, constants.O_RDWR | constants.O_NOFOLLOW) : createFile(path);
    ftruncateSync(
      fd,
      file.sizes.reduce((sum, size) => sum + size, 0),
    );
    const { reusedBytes, missing } = comparePieces(file, cloned ? fd : source, cloned ? undefined : fd);
    const keep = missing.length > 0 ? fd : -1;
    if (keep !== -1) fd = undefined;
    return { status: "reused", fd: keep, reusedBytes, missing };
  } catch (error) {
    return refusal(error);
  } finally {
    if (fd !== undefined) closeSync(fd);
    if (source !== undefined) closeSync(source);
  }
}

function openCandidate(path: Buffer): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, candidateFlags);
  } catch (error) {
    // A candidate is only a chance: gone, unreadable or a link now, it is none.
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  return undefined;
}

function clone(source: number, path: Buffer): boolean {
  try {
    // Through /proc it is the file that was opened, whatever stands at its path now.
    copyFileSync(`/proc/self/fd/${source}`, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
    chmodSync(path, 0o600);
    return true;
  } catch (error) {
    if (cannotClone.has(systemErrorCode(error))) return false;
    throw error;
  }
}

/** Compares the pieces of `from` with what they should be, and copies those that are right to `to`, if it is given. */
function comparePieces(
  file: FileToReuse,
  from: number | undefined,
  to: number | undefined,
): { readonly reusedBytes: number; readonly missing: number[] } {
  const ids = Buffer.from(file.blobIds.buffer, file.blobIds.byteOffset, file.blobIds.length);
  const missing: number[] = [];
  let reusedBytes = 0;
  let position = 0;
  for (const [number, size] of file.sizes.entries()) {
    const piece = from === undefined ? undefined : readPiece(from, position, size);
    const id = ids.subarray(number * 32, number * 32 + 32);
    if (piece?.length === size && hash("sha256", piece, "buffer").equals(id)) {
      if (to !== undefined) writeSparse(to, piece, position);
      reusedBytes += size;
    } else {
      missing.push(number);
    }
    position += size;
  }
  return { reusedBytes, missing };
}

function readPiece(fd: number, position: number, size: number): Buffer {
  const piece = Buffer.allocUnsafe(size);
  let length = 0;
  while (length < size) {
    const count = readSync(fd, piece, length, size - length, position + length);
    if (count === 0) break;
    length += count;
  }
  return piece.subarray(0, length);
}
