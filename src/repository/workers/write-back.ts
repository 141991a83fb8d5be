import koffi from "koffi";

/** SYNC_FILE_RANGE_WRITE of sync_file_range(2). */
const startWriting = 2;
/** Smaller pieces are left to the end: a call for each would cost more than it saves. */
const minBytes = 256 << 10;

type SyncFileRange = (fd: number, offset: number, length: number, flags: number) => number;
let ofThisThread: SyncFileRange | undefined;

/**
 * Has the kernel begin to write what stands in a file to its disk, and does not wait: a restore ends when everything is
 * there, and by itself the kernel would only begin then. A file system that cannot do it loses nothing.
 */
export function startWriteBack(fd: number, position: number, length: number): void {
  if (length < minBytes) return;
  ofThisThread ??= koffi.load(null).func("sync_file_range", "int", ["int", "int64", "int64", "uint"]) as SyncFileRange;
  ofThisThread(fd, position, length, startWriting);
}
