import { fchmodSync, fchownSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import koffi from "koffi";
import { systemErrorCode } from "../../base/index.ts";
import type { EncodedProperties } from "../content/blob-writes.ts";

const setIdBits = 0o6000;
const utimeOmit = 0x3ffffffen;
/** Access time, left alone, and modification time. */
const times = Buffer.alloc(32);
times.writeBigInt64LE(utimeOmit, 8);

type SetTimes = (fd: number, times: Buffer) => number;
let ofThisThread: SetTimes | undefined;

/** futimens(3), to the nanosecond; Node's own function rounds. */
function setTimes(fd: number): void {
  ofThisThread ??= koffi.load(null).func("futimens", "int", ["int", "void *"]) as SetTimes;
  if (ofThisThread(fd, times) === 0) return;
  const code = getSystemErrorName(-koffi.errno());
  throw Object.assign(new Error(`${code}: futimens`), { code, syscall: "futimens" });
}

/**
 * Sets owner, time and mode of an open file that is new: mode 0600, of this process's user. The owner first, as a change
 * of it clears set-id bits. @returns false if the owner could not be set; then set-id bits are left out, as a program
 * must not run with the rights of whoever restores it
 */
export function setProperties(fd: number, { mode, uid, gid, mtime }: EncodedProperties): boolean {
  const owned = setOwner(fd, uid, gid);
  times.set(mtime, 16);
  setTimes(fd);
  const wanted = owned ? mode : mode & ~setIdBits;
  if (wanted !== 0o600) fchmodSync(fd, wanted);
  return owned;
}

function setOwner(fd: number, uid: number, gid: number): boolean {
  try {
    fchownSync(fd, uid, gid);
    return true;
  } catch (error) {
    const code = systemErrorCode(error);
    // EINVAL: a number that this user namespace does not map.
    if (code !== "EPERM" && code !== "EINVAL") throw error;
    return false;
  }
}
