import { type BigIntStats, constants, fstatSync, readlinkSync, unlinkSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import koffi from "koffi";
import type { EncodedReuse } from "../content/file-reuses.ts";

const atFdCwd = -100;
const atSymlinkFollow = 0x400;

interface Calls {
  readonly linkAt: (oldFd: number, oldPath: Buffer, newFd: number, newPath: Buffer, flags: number) => number;
  readonly listXattr: (fd: number, list: Buffer, size: number) => number;
}

let ofThisThread: Calls | undefined;

function calls(): Calls {
  if (ofThisThread === undefined) {
    const library = koffi.load(null);
    ofThisThread = {
      linkAt: library.func("linkat", "int", ["int", "void *", "int", "void *", "int"]),
      listXattr: library.func("flistxattr", "int64", ["int", "void *", "uint64"]),
    };
  }
  return ofThisThread;
}

/** What says that a file cannot have a second name there, or not by this user: then it is copied. */
const cannotLink: ReadonlySet<string> = new Set([
  "EPERM",
  "EACCES",
  "EXDEV",
  "EMLINK",
  "ENOENT",
  "ENOTSUP",
  "EOPNOTSUPP",
  "ENOSYS",
]);

/**
 * Gives the open candidate a second name at the new file's path, if that is allowed and nothing tells the two apart. It
 * is linked by its descriptor, so it is what was looked at, whatever stands at its path now. `before` is
 * its stat, `hasBytes` reads it; asked only where its stamp does not say the same. @throws system errors: EEXIST, ENOSPC
 */
export function linkCandidate(
  source: number,
  before: BigIntStats,
  file: EncodedReuse,
  hasBytes: () => boolean,
): { readonly ctimeNs: bigint; readonly inode: bigint } | undefined {
  const { link } = file;
  if (link === undefined) return undefined;
  if (before.nlink !== 1n || !looksSame(before, file, link.mtimeNs)) return undefined;
  const descriptor = `/proc/self/fd/${source}`;
  if (calls().listXattr(source, Buffer.alloc(1), 0) > 0) return undefined;
  // Another path means that a link led there, perhaps out of the tree.
  if (!readlinkSync(descriptor, { encoding: "buffer" }).equals(file.candidate)) return undefined;
  const isKnown = before.ctimeNs === link.ctimeNs && before.ino === link.inode;
  if (!isKnown && !hasBytes()) return undefined;
  const to = Buffer.concat([file.path, Buffer.of(0)]);
  if (calls().linkAt(atFdCwd, Buffer.from(`${descriptor}\0`), atFdCwd, to, atSymlinkFollow) < 0) {
    const code = getSystemErrorName(-koffi.errno());
    if (cannotLink.has(code)) return undefined;
    throw Object.assign(new Error(`${code}: linkat '${file.path.toString()}'`), { code, syscall: "linkat" });
  }
  const after = fstatSync(source, { bigint: true });
  if (after.nlink === 2n && looksSame(after, file, link.mtimeNs)) {
    return { ctimeNs: after.ctimeNs, inode: after.ino };
  }
  // Written to while it was looked at.
  unlinkSync(file.path);
  return undefined;
}

function looksSame(stat: BigIntStats, { properties, sizeBytes }: EncodedReuse, mtimeNs: bigint): boolean {
  return (
    properties !== undefined &&
    Number(stat.size) === sizeBytes &&
    stat.mtimeNs === mtimeNs &&
    (Number(stat.mode) & ~constants.S_IFMT) === properties.mode &&
    Number(stat.uid) === properties.uid &&
    Number(stat.gid) === properties.gid
  );
}
