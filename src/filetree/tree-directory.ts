import { type BigIntStats, closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync } from "node:fs";
import { systemErrorCode } from "../base/index.ts";
import type { EntryMetadata, EntryType } from "../component/index.ts";
import type { OwnerNames } from "./posix/owner-names.ts";
import { readXattrs } from "./posix/xattrs.ts";

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * An open directory. What is in it is reached through its descriptor, so that nobody can put a link in the way and lead
 * us out of the tree.
 */
export class TreeDirectory {
  readonly fd: number;
  /** "/proc/self/fd/N": the directory itself, for calls that take a path. Valid until `close`. */
  readonly path: Buffer;
  readonly #prefix: Buffer;
  #closed = false;

  private constructor(fd: number) {
    this.fd = fd;
    this.path = Buffer.from(`/proc/self/fd/${fd}`);
    this.#prefix = Buffer.from(`/proc/self/fd/${fd}/`);
  }

  /** Opens the root of a tree; its own last name may be a link, as administrators make them. @throws ENOENT, ENOTDIR */
  static openRoot(path: Buffer): TreeDirectory {
    return new TreeDirectory(openSync(path, constants.O_RDONLY | constants.O_DIRECTORY));
  }

  /** @throws ENOENT, ENOTDIR or ELOOP if it is a link, EACCES */
  openChild(name: Buffer): TreeDirectory {
    return new TreeDirectory(openSync(this.child(name), directoryFlags));
  }

  /** A path of the child, for calls that take one; never follow a link at its end. */
  child(name: Buffer): Buffer {
    return name.length === 0 ? this.path : Buffer.concat([this.#prefix, name]);
  }

  /** Of the directory itself for the empty name. */
  lstat(name: Buffer): BigIntStats {
    // The directory's own path is a link in /proc; with a dot behind it, it is the directory.
    return lstatSync(name.length === 0 ? Buffer.concat([this.#prefix, Buffer.from(".")]) : this.child(name), {
      bigint: true,
    });
  }

  /** The child's stat, or undefined if there is none. */
  find(name: Buffer): BigIntStats | undefined {
    try {
      return this.lstat(name);
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Names in the directory, sorted by bytes. */
  names(): Buffer[] {
    return readdirSync(this.path, { encoding: "buffer" }).sort((a, b) => Buffer.compare(a, b));
  }

  /** Whatever a backup keeps of the child apart from its bytes; of the directory itself for the empty name. */
  metadata(name: Buffer, stat: BigIntStats, owners: OwnerNames): EntryMetadata {
    const path = name.length === 0 ? Buffer.concat([this.#prefix, Buffer.from(".")]) : this.child(name);
    const type = entryType(stat);
    const xattrs = readXattrs(path);
    const uid = Number(stat.uid);
    const gid = Number(stat.gid);
    const user = owners.user(uid);
    const group = owners.group(gid);
    return {
      type,
      mode: Number(stat.mode) & 0o7777,
      uid,
      gid,
      ...(user === undefined ? {} : { user }),
      ...(group === undefined ? {} : { group }),
      mtimeNs: stat.mtimeNs,
      ctimeNs: stat.ctimeNs,
      inode: stat.ino,
      deviceId: stat.dev,
      links: type === "dir" ? 1 : Number(stat.nlink),
      ...(type === "symlink" ? { linkTarget: readlinkSync(path, { encoding: "buffer" }) } : {}),
      ...(type === "dev" || type === "chardev" ? { device: stat.rdev } : {}),
      ...(xattrs.length > 0 ? { xattrs } : {}),
    };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.fd);
  }
}

const formatMask = 0o170000n;
const types: Readonly<Record<string, EntryType>> = {
  [String(0o100000)]: "file",
  [String(0o040000)]: "dir",
  [String(0o120000)]: "symlink",
  [String(0o060000)]: "dev",
  [String(0o020000)]: "chardev",
  [String(0o010000)]: "fifo",
  [String(0o140000)]: "socket",
};

export function entryType(stat: BigIntStats): EntryType {
  const type = types[String(stat.mode & formatMask)];
  if (type === undefined) throw new RangeError(`lstat gives mode ${stat.mode}, which is no type of file.`);
  return type;
}
