import { type BigIntStats, lstatSync, readdirSync } from "node:fs";
import koffi from "koffi";
import { lastErrorCode, systemError } from "./libc.ts";

/** What is needed of a file's stat; `blocks` of 512 bytes. */
export interface EntryStat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: bigint;
  readonly size: number;
  readonly blocks: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

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
  readonly listing?: {
    readonly rewind: (fd: number, offset: number, whence: number) => number | bigint;
    readonly getDents: (fd: number, entries: Buffer, size: number) => number | bigint;
  };
}

const symlinkNofollow = 0x100;
const emptyPath = 0x1000;
/** STATX_BASIC_STATS */
const basicStats = 0x7ff;
/** The number of listxattrat(2), Linux 6.13, on every architecture that Node runs on. */
const listXattrAtNumber = 465;

/** A name as a call wants it; NAME_MAX is 255 bytes, other systems' file systems have up to four times that. */
const nameBytes = Buffer.alloc(4096);
const statBytes = Buffer.from(new ArrayBuffer(256));
const statView = new DataView(statBytes.buffer);
const listBytes = Buffer.alloc(16);
/** Entries of a directory, as the kernel hands them over: some thousand names a call. */
const entryBytes = Buffer.from(new ArrayBuffer(128 << 10));
const entryView = new DataView(entryBytes.buffer);

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
    const listing = {
      rewind: library.func("lseek", "int64", ["int", "int64", "int"]),
      getDents: library.func("getdents64", "int64", ["int", "void *", "uint64"]),
    } as NonNullable<DirectoryCalls["listing"]>;
    if (isThere(() => listing.getDents(-1, entryBytes, entryBytes.length))) found.listing = listing;
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
  if (calls.statx === undefined) return nodeStat(fd, name);
  putName(name);
  if (calls.statx(fd, nameBytes, symlinkNofollow, basicStats, statBytes) < 0) {
    throw systemError(lastErrorCode(), "statx", name);
  }
  return decodeStat(statView);
}

function nodeStat(fd: number, name: Buffer): EntryStat {
  return entryStat(lstatSync(Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name]), { bigint: true }));
}

/** What Node says of a file. */
export function entryStat(stat: BigIntStats): EntryStat {
  const { dev, ino, rdev, mtimeNs, ctimeNs } = stat;
  return {
    dev,
    ino,
    rdev,
    mtimeNs,
    ctimeNs,
    mode: Number(stat.mode),
    nlink: Number(stat.nlink),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: Number(stat.size),
    blocks: Number(stat.blocks),
  };
}

/** struct statx, of linux/stat.h. Integers of any size are objects: as few as possible, this runs for every file. */
function decodeStat(view: DataView): EntryStat {
  const ctimeNs = timeAt(view, 96);
  const isWrittenThen =
    view.getUint32(96, true) === view.getUint32(112, true) &&
    view.getUint32(100, true) === view.getUint32(116, true) &&
    view.getUint32(104, true) === view.getUint32(120, true);
  return {
    nlink: view.getUint32(16, true),
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    mode: view.getUint16(28, true),
    ino: view.getBigUint64(32, true),
    size: view.getUint32(40, true) + view.getUint32(44, true) * words,
    blocks: view.getUint32(48, true) + view.getUint32(52, true) * words,
    ctimeNs,
    mtimeNs: isWrittenThen ? ctimeNs : timeAt(view, 112),
    rdev: deviceNumber(view.getUint32(128, true), view.getUint32(132, true)),
    dev: lastDevice(view.getUint32(136, true), view.getUint32(140, true)),
  };
}

const words = 2 ** 32;
const nsPerSecond = 1_000_000_000;
const timeBytes = new DataView(new ArrayBuffer(8));

/** Nanoseconds since 1970 of a statx_timestamp: i64 seconds, u32 nanoseconds. */
function timeAt(view: DataView, at: number): bigint {
  const lowSeconds = view.getUint32(at, true);
  const seconds = lowSeconds + view.getInt32(at + 4, true) * words;
  // In two words of 32 bits: the low one of a product is exact, and the high one is a whole number near what a double says.
  const lowProduct = Math.imul(lowSeconds, nsPerSecond) >>> 0;
  const highProduct = Math.round((seconds * nsPerSecond - lowProduct) / words);
  const low = lowProduct + view.getUint32(at + 8, true);
  timeBytes.setUint32(0, low, true);
  timeBytes.setInt32(4, low < words ? highProduct : highProduct + 1, true);
  return timeBytes.getBigInt64(0, true);
}

let device = { major: 0, minor: 0, number: 0n };

/** Of one device after the other, mostly the same. */
function lastDevice(major: number, minor: number): bigint {
  if (device.major !== major || device.minor !== minor) {
    device = { major, minor, number: deviceNumber(major, minor) };
  }
  return device.number;
}

/** As makedev(3) of the C library, whose numbers Node's stat has. */
function deviceNumber(major: number, minor: number): bigint {
  const low = (((major & 0xfff) << 8) | (minor & 0xff)) >>> 0;
  if (low === 0 && major === 0 && minor === 0) return 0n;
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

/** Where a struct linux_dirent64 has its length, and its name. */
const entryLengthAt = 16;
const entryNameAt = 19;
const dot = 0x2e;

/** Names in an open directory, sorted by bytes. @throws a system error: EACCES, EIO */
export function namesIn(fd: number): Buffer[] {
  const { listing } = calls;
  const names =
    listing === undefined ? readdirSync(`/proc/self/fd/${fd}`, { encoding: "buffer" }) : readNames(fd, listing);
  return names.sort((a, b) => Buffer.compare(a, b));
}

function readNames(fd: number, { rewind, getDents }: NonNullable<DirectoryCalls["listing"]>): Buffer[] {
  const names: Buffer[] = [];
  if (Number(rewind(fd, 0, 0)) < 0) throw systemError(lastErrorCode(), "lseek", Buffer.from(`/proc/self/fd/${fd}`));
  for (;;) {
    const length = Number(getDents(fd, entryBytes, entryBytes.length));
    if (length < 0) throw systemError(lastErrorCode(), "getdents64", Buffer.from(`/proc/self/fd/${fd}`));
    if (length === 0) return names;
    takeNames(length, names);
  }
}

/** Copies the names out of `entryBytes` in one go: memory for each by itself costs as much as its stat. */
function takeNames(length: number, names: Buffer[]): void {
  const copied = Buffer.from(new Uint8Array(entryBytes.subarray(0, length)).buffer);
  for (let at = 0; at < length; at += entryView.getUint16(at + entryLengthAt, true)) {
    const start = at + entryNameAt;
    const first = copied[start];
    if (first === dot && (copied[start + 1] === 0 || (copied[start + 1] === dot && copied[start + 2] === 0))) continue;
    names.push(copied.subarray(start, copied.indexOf(0, start)));
  }
}

/** Which of the calls are there; for tests. */
export const directoryCalls = {
  statx: calls.statx !== undefined,
  listXattrAt: calls.listXattrAt !== undefined,
  listing: calls.listing !== undefined,
} as const;
