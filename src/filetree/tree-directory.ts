import { closeSync, constants, openSync, readlinkSync } from "node:fs";
import { systemErrorCode } from "../base/index.ts";
import type { EntryMetadata, EntryType, ExtendedAttribute } from "../component/index.ts";
import { type EntryStat, hasNoXattrs, namesIn, statAt } from "./posix/directory-calls.ts";
import type { OwnerNames } from "./posix/owner-names.ts";
import { readXattrs } from "./posix/xattrs.ts";

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const dot = Buffer.from(".");

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

  /** Of the directory itself for the empty name. A link is not followed. */
  lstat(name: Buffer): EntryStat {
    return statAt(this.fd, name.length === 0 ? dot : name);
  }

  /** The child's stat, or undefined if there is none. */
  find(name: Buffer): EntryStat | undefined {
    try {
      return this.lstat(name);
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Names in the directory, sorted by bytes. */
  names(): Buffer[] {
    return namesIn(this.fd);
  }

  /** Whatever a backup keeps of the child apart from its bytes; of the directory itself for the empty name. */
  metadata(name: Buffer, stat: EntryStat, owners: OwnerNames): EntryMetadata {
    const xattrs = this.#xattrs(name);
    const metadata = this.metadataWithoutXattrs(name, stat, owners);
    return xattrs.length > 0 ? { ...metadata, xattrs } : metadata;
  }

  metadataWithoutXattrs(name: Buffer, stat: EntryStat, owners: OwnerNames): EntryMetadata {
    const type = entryType(stat);
    const uid = stat.uid;
    const gid = stat.gid;
    const user = owners.user(uid);
    const group = owners.group(gid);
    return {
      type,
      mode: stat.mode & 0o7777,
      uid,
      gid,
      ...(user === undefined ? {} : { user }),
      ...(group === undefined ? {} : { group }),
      mtimeNs: stat.mtimeNs,
      ctimeNs: stat.ctimeNs,
      inode: stat.ino,
      deviceId: stat.dev,
      links: type === "dir" ? 1 : stat.nlink,
      ...(type === "symlink" ? { linkTarget: readlinkSync(this.child(name), { encoding: "buffer" }) } : {}),
      ...(type === "dev" || type === "chardev" ? { device: stat.rdev } : {}),
    };
  }

  #xattrs(name: Buffer): readonly ExtendedAttribute[] {
    // The directory's own path is a link in /proc; with a dot behind it, it is the directory.
    const child = name.length === 0 ? dot : name;
    return hasNoXattrs(this.fd, child) ? [] : readXattrs(this.child(child));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.fd);
  }
}

const types: ReadonlyMap<number, EntryType> = new Map([
  [constants.S_IFREG, "file"],
  [constants.S_IFDIR, "dir"],
  [constants.S_IFLNK, "symlink"],
  [constants.S_IFBLK, "dev"],
  [constants.S_IFCHR, "chardev"],
  [constants.S_IFIFO, "fifo"],
  [constants.S_IFSOCK, "socket"],
]);

export function entryType(stat: EntryStat): EntryType {
  const type = types.get(stat.mode & constants.S_IFMT);
  if (type === undefined) throw new RangeError(`lstat gives mode ${stat.mode}, which is no type of file.`);
  return type;
}
