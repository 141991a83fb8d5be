import { closeSync, constants, openSync } from "node:fs";
import { cPath, lastErrorCode, libc, systemError } from "./libc.ts";

const atFdCwd = -100;
const atSymlinkNofollow = 0x100;
const renameNoreplace = 1;
const renameExchange = 2;
const utimeOmit = 0x3ffffffen;
const typeBits = { fifo: 0o010000, chardev: 0o020000, dev: 0o060000 } as const;

/** Sets the modification time to the nanosecond (Node's utimes rounds) and leaves the access time; links not followed. */
export function setModificationTime(path: Buffer, mtimeNs: bigint): void {
  const times = Buffer.alloc(32);
  // Floored, so that the nanoseconds are positive before 1970 too.
  let seconds = mtimeNs / 1_000_000_000n;
  if (seconds * 1_000_000_000n > mtimeNs) seconds -= 1n;
  times.writeBigInt64LE(utimeOmit, 8);
  times.writeBigInt64LE(seconds, 16);
  times.writeBigInt64LE(mtimeNs - seconds * 1_000_000_000n, 24);
  if (libc.utimensat(atFdCwd, cPath(path), times, atSymlinkNofollow) < 0) {
    throw systemError(lastErrorCode(), "utimensat", path);
  }
}

/** Makes a FIFO, or a block ("dev") or character device with mode 0600. @throws EPERM without CAP_MKNOD, EEXIST */
export function makeNode(path: Buffer, type: "fifo" | "dev" | "chardev", device: bigint): void {
  if (libc.mknod(cPath(path), typeBits[type] | 0o600, device) < 0) {
    throw systemError(lastErrorCode(), "mknod", path);
  }
}

/** Exchanges two existing paths of one file system in one step. @throws EINVAL, ENOSYS where that is not supported */
export function exchangePaths(one: Buffer, other: Buffer): void {
  if (libc.renameat2(atFdCwd, cPath(one), atFdCwd, cPath(other), renameExchange) < 0) {
    throw systemError(lastErrorCode(), "renameat2", one);
  }
}

/** Renames without ever replacing. @throws EEXIST; EINVAL, ENOSYS where that is not supported */
export function renameNew(from: Buffer, to: Buffer): void {
  if (libc.renameat2(atFdCwd, cPath(from), atFdCwd, cPath(to), renameNoreplace) < 0) {
    throw systemError(lastErrorCode(), "renameat2", from);
  }
}

/**
 * That entries of a folder may be made and renamed: asked as the process is, not as `access` does, as its real user without
 * capabilities. @throws EACCES, EROFS
 */
export function assertMayChange(folder: Buffer): void {
  if (libc.eaccess(cPath(folder), constants.W_OK | constants.X_OK) < 0) {
    throw systemError(lastErrorCode(), "eaccess", folder);
  }
}

/** Writes everything of the file system that holds `path` to the disk. */
export function syncFileSystem(path: Buffer): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (libc.syncfs(fd) < 0) throw systemError(lastErrorCode(), "syncfs", path);
  } finally {
    closeSync(fd);
  }
}
