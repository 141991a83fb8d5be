import { hash } from "node:crypto";
import { chmodSync, closeSync, constants, copyFileSync, fstatSync, ftruncateSync, openSync, readSync } from "node:fs";
import { systemErrorCode } from "../../base/index.ts";
import { decodeReuses, type EncodedReuse } from "../content/file-reuses.ts";
import { setProperties } from "./file-properties.ts";
import { linkCandidate } from "./link-candidate.ts";
import type { ReuseResult } from "./protocol.ts";
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
export function reuseFiles(files: Uint8Array): ReuseResult[] {
  const results: ReuseResult[] = [];
  try {
    for (const file of decodeReuses(files)) results.push(reuseFile(file));
  } catch (error) {
    for (const result of results) if (result.status === "reused" && result.fd !== -1) closeSync(result.fd);
    throw error;
  }
  return results;
}

/**
 * Makes a file from a candidate that may hold the same bytes: a second name of it where nothing tells them apart, a clone
 * where the file system can, else a copy of the pieces that are equal. But for a second name, every piece is hashed as it
 * stands in the new file or in memory, so a candidate that changes meanwhile does no harm.
 */
function reuseFile(file: EncodedReuse): ReuseResult {
  const source = openCandidate(file.candidate);
  if (source === undefined) return { status: "none" };
  try {
    const stat = fstatSync(source, { bigint: true });
    if (!stat.isFile()) return { status: "none" };
    const linked = linkCandidate(source, stat, file, () => file.sizes.every((_, at) => isPiece(file, at, source)));
    if (linked !== undefined) return { status: "linked", ...linked };
    // A file of one piece is made whole by whoever has it.
    if (file.sizes.length < 2 && !isPiece(file, 0, source)) return { status: "none" };
    return copyCandidate(file, source);
  } catch (error) {
    return refusal(error);
  } finally {
    closeSync(source);
  }
}

function copyCandidate(file: EncodedReuse, source: number): ReuseResult {
  const { path, properties } = file;
  let fd: number | undefined;
  try {
    const cloned = clone(source, path);
    fd = cloned ? openSync(path, constants.O_RDWR | constants.O_NOFOLLOW) : createFile(path);
    ftruncateSync(fd, file.sizeBytes);
    const { reusedBytes, missing } = comparePieces(file, cloned ? fd : source, cloned ? undefined : fd);
    if (missing.length > 0) {
      const keep = fd;
      fd = undefined;
      return { status: "reused", fd: keep, reusedBytes, missing };
    }
    const done = { status: "reused", fd: -1, reusedBytes, missing } as const;
    if (properties === undefined) return done;
    return { ...done, properties: setProperties(fd, properties) ? "set" : "owner-missed" };
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function openCandidate(path: Buffer): number | undefined {
  try {
    return openSync(path, candidateFlags);
  } catch (error) {
    // A candidate is only a chance: gone, unreadable or a link now, it is none.
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
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
  file: EncodedReuse,
  from: number,
  to: number | undefined,
): { readonly reusedBytes: number; readonly missing: number[] } {
  const missing: number[] = [];
  let reusedBytes = 0;
  let position = 0;
  for (const [number, size] of file.sizes.entries()) {
    const piece = readPiece(from, position, size);
    if (matches(file, number, piece)) {
      if (to !== undefined) writeSparse(to, piece, position);
      reusedBytes += size;
    } else {
      missing.push(number);
    }
    position += size;
  }
  return { reusedBytes, missing };
}

/** Whether the candidate has this piece where it should be. */
function isPiece(file: EncodedReuse, number: number, from: number): boolean {
  let position = 0;
  for (let before = 0; before < number; before += 1) position += file.sizes[before] as number;
  return matches(file, number, readPiece(from, position, file.sizes[number] ?? 0));
}

function matches({ sizes, blobIds }: EncodedReuse, number: number, piece: Buffer): boolean {
  if (piece.length !== sizes[number]) return false;
  return hash("sha256", piece, "buffer").equals(blobIds.subarray(number * 32, number * 32 + 32));
}

/** Pieces are read into memory that is used again. */
let pieceMemory = Buffer.allocUnsafeSlow(64 << 10);

function readPiece(fd: number, position: number, size: number): Buffer {
  if (pieceMemory.length < size) pieceMemory = Buffer.allocUnsafeSlow(size);
  let length = 0;
  while (length < size) {
    const count = readSync(fd, pieceMemory, length, size - length, position + length);
    if (count === 0) break;
    length += count;
  }
  return pieceMemory.subarray(0, length);
}
