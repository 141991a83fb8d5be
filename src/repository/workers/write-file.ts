import { closeSync, constants, ftruncateSync, openSync, writeSync } from "node:fs";
import { HoldfastError, messageOf, systemErrorCode } from "../../base/index.ts";
import { openLoadedBlob } from "../content/open-loaded-blob.ts";
import type { Sealer } from "../crypto/envelope.ts";
import { freeMemory } from "./free-memory.ts";
import type { BlobTarget, FailedFile, Job, JobResults } from "./protocol.ts";

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
export function writeBlobs(sealer: Sealer, job: Extract<Job, { kind: "write-blobs" }>): JobResults["write-blobs"] {
  const failures: { file: number; failed: FailedFile }[] = [];
  for (const blob of job.blobs) {
    const plaintext = openLoadedBlob(sealer, job.bytes, blob);
    for (const target of blob.targets) {
      try {
        writeTarget(target, plaintext);
      } catch (error) {
        failures.push({ file: target.file, failed: refusal(error) });
      }
    }
    freeMemory(plaintext);
  }
  return failures;
}

function writeTarget(target: BlobTarget, plaintext: Buffer): void {
  if (target.kind === "open") {
    writeSparse(target.fd, plaintext, target.position);
    return;
  }
  const fd = createFile(target.path);
  try {
    // Only a hole at the end needs the size to be set: for small files that would cost as much as writing them.
    if (writeSparse(fd, plaintext, 0) < plaintext.length) ftruncateSync(fd, plaintext.length);
  } finally {
    closeSync(fd);
  }
}
