import { type BigIntStats, lstatSync } from "node:fs";
import koffi from "koffi";
import { lastErrorCode, systemError } from "./libc.ts";

/** What is needed of a file's stat. */
export type EntryStat = Pick<
  BigIntStats,
  "dev" | "ino" | "mode" | "nlink" | "uid" | "gid" | "rdev" | "size" | "blocks" | "mtimeNs" | "ctimeNs"
>;

interface DirectoryCalls {
  readonly statx?: (fd: number, name: Buffer, flags: number, mask: number, result: Buffer) => number;
  readonly listXattrAt?: (
    number: number,
    fd: number,
    name: Buffer,
    flags: number,
    list: Buffer,
    size: number,
  ) => number | bigint;
}

const symlinkNofollow = 0x100;
const emptyPath = 0x1000;
/** STATX_BASIC_STATS */
const basicStats = 0x7ff;
/** The number of listxattrat(2), Linux 6.13, on every architecture that Node runs on. */
const listXattrAtNumber = 465;

/** A name as a call wants it; NAME_MAX is 255 bytes, other systems' file systems have up to four times that. */
const nameBytes = Buffer.alloc(4096);
const statBytes = Buffer.alloc(256);
const listBytes = Buffer.alloc(16);

/**
 * Whether the call is there at all: asked for a descriptor that does not exist, it says just that. Older kernels and
 * filters of system calls, as containers have them, say something else.
 */
function isThere(ask: () => number | bigint): boolean {
  return Number(ask()) === -1 && lastErrorCode() === "EBADF";
}

/** Calls that take a directory's descriptor and a name: a third of the time of Node's with a path through /proc. */
function findCalls(): DirectoryCalls {
  const none = Buffer.alloc(1);
  const found: { -readonly [K in keyof DirectoryCalls]: DirectoryCalls[K] } = {};
  try {
    const library = koffi.load(null);
    const statx: DirectoryCalls["statx"] = library.func("statx", "int", ["int", "void *", "int", "uint", "void *"]);
    if (statx !== undefined && isThere(() => statx(-1, none, emptyPath, basicStats, statBytes))) found.statx = statx;
    const listXattrAt: DirectoryCalls["listXattrAt"] = library.func("syscall", "int64", [
      "int64",
      "int64",
      "void *",
      "int64",
      "void *",
      "uint64",
    ]);
    if (
      listXattrAt !== undefined &&
      isThere(() => listXattrAt(listXattrAtNumber, -1, none, emptyPath, listBytes, listBytes.length))
    ) {
      found.listXattrAt = listXattrAt;
    }
  } catch (error) {
    // koffi throws plain errors for what it does not find: then Node's own calls serve.
    if (!(error instanceof Error)) throw error;
  }
  return found;
}

const calls = findCalls();

function putName(name: Buffer): void {
  if (name.length >= nameBytes.length) throw systemError("ENAMETOOLONG", "statx", name);
  if (name.includes(0)) throw new RangeError("A path contains a zero byte.");
  nameBytes.set(name, 0);
  nameBytes[name.length] = 0;
}

/** The stat of what has this name in an open directory; a link is not followed. @throws a system error: ENOENT, EACCES */
export function statAt(fd: number, name: Buffer): EntryStat {
  if (calls.statx === undefined) {
    return lstatSync(Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name]), { bigint: true });
  }
  putName(name);
  if (calls.statx(fd, nameBytes, symlinkNofollow, basicStats, statBytes) < 0) {
    throw systemError(lastErrorCode(), "statx", name);
  }
  return decodeStat(statBytes);
}

/** struct statx, of linux/stat.h. */
function decodeStat(bytes: Buffer): EntryStat {
  return {
    nlink: BigInt(bytes.readUInt32LE(16)),
    uid: BigInt(bytes.readUInt32LE(20)),
    gid: BigInt(bytes.readUInt32LE(24)),
    mode: BigInt(bytes.readUInt16LE(28)),
    ino: bytes.readBigUInt64LE(32),
    size: bytes.readBigUInt64LE(40),
    blocks: bytes.readBigUInt64LE(48),
    ctimeNs: bytes.readBigInt64LE(96) * 1_000_000_000n + BigInt(bytes.readUInt32LE(104)),
    mtimeNs: bytes.readBigInt64LE(112) * 1_000_000_000n + BigInt(bytes.readUInt32LE(120)),
    rdev: deviceNumber(bytes.readUInt32LE(128), bytes.readUInt32LE(132)),
    dev: deviceNumber(bytes.readUInt32LE(136), bytes.readUInt32LE(140)),
  };
}

/** As makedev(3) of the C library, whose numbers Node's stat has. */
function deviceNumber(major: number, minor: number): bigint {
  const low = (((major & 0xfff) << 8) | (minor & 0xff)) >>> 0;
  const isSmall = major <= 0xfff && minor <= 0xff;
  if (isSmall) return BigInt(low);
  return (BigInt(major & ~0xfff) << 32n) | (BigInt(minor & ~0xff) << 12n) | BigInt(low);
}

/**
 * True if what has this name in an open directory certainly has no extended attributes: most files. False: look.
 * Errors show when looking.
 */
export function hasNoXattrs(fd: number, name: Buffer): boolean {
  if (calls.listXattrAt === undefined) return false;
  putName(name);
  const size = calls.listXattrAt(listXattrAtNumber, fd, nameBytes, symlinkNofollow, listBytes, 0);
  return Number(size) === 0;
}

/** Which of the calls are there; for tests. */
export const directoryCalls = {
  statx: calls.statx !== undefined,
  listXattrAt: calls.listXattrAt !== undefined,
} as const;
