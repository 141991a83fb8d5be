import { getSystemErrorName } from "node:util";
import koffi from "koffi";
import { HoldfastError } from "../../base/index.ts";

/** A path as a system call wants it: raw bytes and a zero at the end. */
export function cPath(path: Buffer): Buffer {
  if (path.includes(0)) throw new RangeError("A path contains a zero byte.");
  return Buffer.concat([path, Buffer.of(0)]);
}

interface Libc {
  readonly listXattr: (path: Buffer, list: Buffer, size: number) => number;
  readonly getXattr: (path: Buffer, name: Buffer, value: Buffer, size: number) => number;
  readonly setXattr: (path: Buffer, name: Buffer, value: Buffer, size: number, flags: number) => number;
  readonly removeXattr: (path: Buffer, name: Buffer) => number;
  readonly utimensat: (directoryFd: number, path: Buffer, times: Buffer, flags: number) => number;
  readonly mknod: (path: Buffer, mode: number, device: bigint) => number;
  readonly renameat2: (oldFd: number, oldPath: Buffer, newFd: number, newPath: Buffer, flags: number) => number;
  readonly inotifyInit: (flags: number) => number;
  readonly inotifyAddWatch: (fd: number, path: Buffer, mask: number) => number;
  readonly inotifyRmWatch: (fd: number, watch: number) => number;
  readonly read: (fd: number, buffer: Buffer, size: number) => number;
  readonly eaccess: (path: Buffer, mode: number) => number;
  readonly syncfs: (fd: number) => number;
}

function load(): Libc {
  try {
    const library = koffi.load(null);
    return {
      listXattr: library.func("llistxattr", "int64", ["void *", "void *", "uint64"]),
      getXattr: library.func("lgetxattr", "int64", ["void *", "void *", "void *", "uint64"]),
      setXattr: library.func("lsetxattr", "int", ["void *", "void *", "void *", "uint64", "int"]),
      removeXattr: library.func("lremovexattr", "int", ["void *", "void *"]),
      utimensat: library.func("utimensat", "int", ["int", "void *", "void *", "int"]),
      mknod: library.func("mknod", "int", ["void *", "uint", "uint64"]),
      renameat2: library.func("renameat2", "int", ["int", "void *", "int", "void *", "uint"]),
      inotifyInit: library.func("inotify_init1", "int", ["int"]),
      inotifyAddWatch: library.func("inotify_add_watch", "int", ["int", "void *", "uint"]),
      inotifyRmWatch: library.func("inotify_rm_watch", "int", ["int", "int"]),
      read: library.func("read", "int64", ["int", "void *", "uint64"]),
      eaccess: library.func("eaccess", "int", ["void *", "int"]),
      syncfs: library.func("syncfs", "int", ["int"]),
    };
  } catch (error) {
    throw new HoldfastError("TOOL_MISSING", "The system's C library could not be loaded through koffi.", {
      facts: { program: "koffi", platform: process.platform, arch: process.arch },
      remedy: "Run Holdfast on Linux with glibc 2.28 or musl 1.2 or newer, and install its packages with npm ci.",
      cause: error,
    });
  }
}

/** The system calls that Node has no function for. Each returns -1 on error; then `lastError` says which. */
export const libc: Libc = load();

/** The name of the last system call's error: "ENOENT", "EINVAL". */
export function lastErrorCode(): string {
  return getSystemErrorName(-koffi.errno());
}

/** An Error of the shape that Node's own fs functions throw. */
export function systemError(code: string, call: string, path: Buffer): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error(`${code}: ${call} '${path.toString()}'`);
  error.code = code;
  error.syscall = call;
  error.path = path.toString();
  return error;
}
