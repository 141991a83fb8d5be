import type { DirectoryBase, StoredContent } from "./content.ts";

export const entryTypes = ["file", "dir", "symlink", "dev", "chardev", "fifo", "socket"] as const;

export type EntryType = (typeof entryTypes)[number];

export interface ExtendedAttribute {
  /** "user.origin", "system.posix_acl_access": ACLs are attributes like any other. */
  readonly name: string;
  readonly value: Uint8Array;
}

/** What `lstat` and the extended attributes say of a file, directory, link or device. */
export interface EntryMetadata {
  readonly type: EntryType;
  /** Permission, setuid, setgid and sticky bits: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly user?: string;
  readonly group?: string;
  /** Nanoseconds since 1970, UTC. */
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
  readonly deviceId: bigint;
  /** Number of hard links; 1 if unknown. Files with more than one and equal (deviceId, inode) are one file. */
  readonly links: number;
  /** Bytes of the target, for a symlink. */
  readonly linkTarget?: Uint8Array;
  /** st_rdev, for dev and chardev. */
  readonly device?: bigint;
  readonly xattrs?: readonly ExtendedAttribute[];
}

/**
 * Where an entry stands below the root of its source: names joined by "/", no leading or trailing "/", raw bytes
 * (names need not be UTF-8). The root itself is the empty path.
 */
export type EntryPath = Buffer;

/** A file's bytes: already stored ahead of time, a local file that no longer changes, or a stream that is read once. */
export type EntryContent =
  | { readonly kind: "stored"; readonly content: StoredContent }
  | { readonly kind: "file"; readonly path: Buffer }
  | { readonly kind: "stream"; readonly open: (signal: AbortSignal) => AsyncIterable<Uint8Array> };

/** One thing that a source yields for the backup. `content` is there exactly for type "file". */
export interface Entry {
  readonly path: EntryPath;
  readonly metadata: EntryMetadata;
  readonly content?: EntryContent;
  /** Of a directory: what it has in common with an earlier one. Yielded is only what it has besides, and directories. */
  readonly base?: EntryBase;
}

/** Of what an entry's base stands for: the number of files, and of their bytes. */
export interface EntryBase extends DirectoryBase {
  readonly files: number;
  readonly bytes: number;
}

/** One thing that a backup holds, as a target receives it. `content` is there exactly for type "file". */
export interface StoredEntry {
  readonly path: EntryPath;
  readonly metadata: EntryMetadata;
  readonly content?: StoredContent;
}

/**
 * The order of entries: a directory before what is in it, siblings by the raw bytes of their names, each directory
 * finished before its next sibling ("a", "a/x", "a.txt"). Negative if `a` comes first.
 */
export function compareEntryPaths(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const left = a[at] as number;
    const right = b[at] as number;
    if (left === right) continue;
    // "/" ends a name, so it sorts before every byte that a name can hold.
    if (left === 0x2f) return -1;
    if (right === 0x2f) return 1;
    return left - right;
  }
  return a.length - b.length;
}

const slash = 0x2f;

/** The names of a path, outermost first; none for the root. */
export function splitEntryPath(path: EntryPath): Buffer[] {
  const names: Buffer[] = [];
  let start = 0;
  while (start < path.length) {
    const end = path.indexOf(slash, start);
    names.push(path.subarray(start, end === -1 ? path.length : end));
    if (end === -1) break;
    start = end + 1;
  }
  return names;
}

/** `parent` + "/" + `name`, or `name` below the root. */
export function joinEntryPath(parent: EntryPath, name: Uint8Array): EntryPath {
  if (parent.length === 0) return Buffer.from(name);
  const path = Buffer.allocUnsafe(parent.length + 1 + name.length);
  path.set(parent, 0);
  path[parent.length] = slash;
  path.set(name, parent.length + 1);
  return path;
}

/** Metadata of a file that Holdfast makes itself, such as a dump: mode 0600 of root, times at the freeze point. */
export function generatedMetadata(type: "file" | "dir", at: Date): EntryMetadata {
  const ns = BigInt(at.getTime()) * 1_000_000n;
  return {
    type,
    mode: type === "dir" ? 0o700 : 0o600,
    uid: 0,
    gid: 0,
    mtimeNs: ns,
    ctimeNs: ns,
    inode: 0n,
    deviceId: 0n,
    links: 1,
  };
}

/** A file whose bytes come from a stream, such as a dump. */
export function generatedFile(path: string, at: Date, open: (signal: AbortSignal) => AsyncIterable<Uint8Array>): Entry {
  return { path: Buffer.from(path), metadata: generatedMetadata("file", at), content: { kind: "stream", open } };
}

/** A directory that Holdfast makes itself. */
export function generatedDirectory(path: string, at: Date): Entry {
  return { path: Buffer.from(path), metadata: generatedMetadata("dir", at) };
}
