import { closeSync, constants, ftruncateSync, openSync, writeSync } from "node:fs";
import { HoldfastError, messageOf, systemErrorCode } from "../../base/index.ts";
import type { BlobOpener } from "../content/blob-opener.ts";
import { decodeWrites, type EncodedWrite } from "../content/blob-writes.ts";
import { setProperties } from "./file-properties.ts";
import type { FailedFile, Job, WrittenBlobs } from "./protocol.ts";

const holeBytes = 4096;
const zeros = Buffer.alloc(holeBytes);
const createFlags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** A new file of mode 0600, open for reading and writing. */
export function createFile(path: Uint8Array): number {
  return openSync(Buffer.from(path.buffer, path.byteOffset, path.length), createFlags, 0o600);
}

/** TARGET_FULL for a disk without room, else the error as it is. */
function targetError(error: unknown): unknown {
  const code = systemErrorCode(error);
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new HoldfastError("TARGET_FULL", `There is no room left where files are being restored to (${code}).`, {
    remedy: "Free space on the target's disk, or restore to another one.",
    cause: error,
  });
}

/** What the system refuses for one file is that file's result; a full disk and anything else is thrown. */
export function refusal(error: unknown): FailedFile {
  const translated = targetError(error);
  const code = systemErrorCode(translated);
  if (code === undefined || !(translated instanceof Error && "syscall" in translated)) throw translated;
  return { status: "failed", code, message: messageOf(translated) };
}

function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}

/**
 * Writes into a file whose unwritten parts are holes: blocks of zeros that fall on a block of the file are left out.
 * Returns the position after the last byte that was written, `position` if none was.
 */
export function writeSparse(fd: number, bytes: Buffer, position: number): number {
  let pending = 0;
  let end = position;
  let at = (holeBytes - (position % holeBytes)) % holeBytes;
  for (; at + holeBytes <= bytes.length; at += holeBytes) {
    if (bytes[at] !== 0 || bytes[at + holeBytes - 1] !== 0) continue;
    if (zeros.compare(bytes, at, at + holeBytes) !== 0) continue;
    if (at > pending) {
      writeAll(fd, bytes.subarray(pending, at), position + pending);
      end = position + at;
    }
    pending = at + holeBytes;
  }
  if (pending === bytes.length) return end;
  writeAll(fd, bytes.subarray(pending), position + pending);
  return position + bytes.length;
}

/** Verifies loaded blobs and writes each to its targets. */
export function writeBlobs(opener: BlobOpener, job: Extract<Job, { kind: "write-blobs" }>): WrittenBlobs {
  const failures: { file: number; failed: FailedFile }[] = [];
  const ownersMissed: number[] = [];
  let last: EncodedWrite | undefined;
  let plaintext: Buffer | undefined;
  for (const write of decodeWrites(job.writes)) {
    if (plaintext === undefined || last?.offset !== write.offset || !sameBytes(last.id, write.id)) {
      if (plaintext !== undefined) opener.release(plaintext);
      plaintext = opener.open(job.bytes, job.pack, write);
      last = write;
    }
    try {
      if (!writeTarget(write, plaintext)) ownersMissed.push(write.file);
    } catch (error) {
      failures.push({ file: write.file, failed: refusal(error) });
    }
  }
  if (plaintext !== undefined) opener.release(plaintext);
  return { failures, ownersMissed };
}

const sameBytes = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

/** Returns false if the new file's owner could not be set. */
function writeTarget({ path, fd: open, position, properties }: EncodedWrite, plaintext: Buffer): boolean {
  if (path === undefined) {
    writeSparse(open, plaintext, position);
    return true;
  }
  const fd = createFile(path);
  try {
    // Only a hole at the end needs the size to be set: for small files that would cost as much as writing them.
    if (writeSparse(fd, plaintext, 0) < plaintext.length) ftruncateSync(fd, plaintext.length);
    return properties === undefined || setProperties(fd, properties);
  } finally {
    closeSync(fd);
  }
}
