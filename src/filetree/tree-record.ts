import {
  type EntryMetadata,
  type EntryPath,
  entryTypes,
  type ExtendedAttribute,
  type FileStamp,
  type StoredContent,
} from "../component/index.ts";
import { decodeBase, encodeBase, type RecordBase } from "./record-base.ts";

/** What is known of one entry of a tree; files carry what is known of their bytes. */
export interface TreeRecord {
  readonly path: EntryPath;
  readonly metadata: EntryMetadata;
  readonly sizeBytes: number;
  readonly diskBytes: number;
  /** Bytes that the repository holds, as read when the file's stamp was that of `metadata`. */
  readonly content?: StoredContent;
  /** Number of a copy made at the freeze point. */
  readonly copy?: number;
  /**
   * The file changed so shortly before it was read that a later change may leave its stamp as it is (the kernel's file
   * times advance in steps). Its bytes are good only as long as nothing says that it changed.
   */
  readonly racy?: boolean;
  /** System error code, for what could not be read. */
  readonly unreadable?: string;
  /** Of a directory: what in it has no records of its own. */
  readonly base?: RecordBase;
}

/** The kernel's file times advance in steps of a tick, 10 ms at most; twice that to be safe. */
const racyWindowNs = 20_000_000n;

/** Whether a file with this change time, read from `readAtMs` on (wall clock), may have changed again unseen. */
export function isRacy(ctimeNs: bigint, readAtMs: number): boolean {
  return ctimeNs > BigInt(Math.floor(readAtMs)) * 1_000_000n - racyWindowNs;
}

export function sameStamp(record: TreeRecord, stamp: FileStamp): boolean {
  const { metadata } = record;
  return (
    record.sizeBytes === stamp.sizeBytes &&
    metadata.mtimeNs === stamp.mtimeNs &&
    metadata.ctimeNs === stamp.ctimeNs &&
    metadata.inode === stamp.inode
  );
}

export const stampOf = (record: TreeRecord): FileStamp => ({
  sizeBytes: record.sizeBytes,
  mtimeNs: record.metadata.mtimeNs,
  ctimeNs: record.metadata.ctimeNs,
  inode: record.metadata.inode,
});

/** Names one file, whatever its path: device and inode number. */
export const fileIdentity = (metadata: { readonly deviceId: bigint; readonly inode: bigint }): string =>
  `${metadata.deviceId}:${metadata.inode}`;

const fixedBytes = 88;
const nothing = Buffer.alloc(0);
const hasContent = 1;
const hasCopy = 2;
const isRacyFlag = 4;
const hasDevice = 8;
const hasBase = 16;

/**
 * The record as bytes for the spool file of one backup (never read by another version): u32 length of the rest, fixed
 * fields, then path, link target, error code, blob ids, attributes and base, each with a u32 length before it.
 */
export function encodeRecord(record: TreeRecord): Buffer {
  const { metadata } = record;
  const parts: Uint8Array[] = [
    record.path,
    metadata.linkTarget ?? nothing,
    record.unreadable === undefined ? nothing : Buffer.from(record.unreadable),
    record.content?.blobIds ?? nothing,
  ];
  for (const { name, value } of metadata.xattrs ?? []) parts.push(Buffer.from(name), value);
  if (record.base !== undefined) parts.push(encodeBase(record.base));
  let length = fixedBytes;
  for (const part of parts) length += 4 + part.length;
  const bytes = Buffer.allocUnsafe(4 + length);
  bytes.writeUInt32LE(length, 0);
  const flags =
    (record.content === undefined ? 0 : hasContent) |
    (record.copy === undefined ? 0 : hasCopy) |
    (record.racy === true ? isRacyFlag : 0) |
    (metadata.device === undefined ? 0 : hasDevice) |
    (record.base === undefined ? 0 : hasBase);
  bytes.writeUInt8(entryTypes.indexOf(metadata.type), 4);
  bytes.writeUInt8(flags, 5);
  bytes.writeUInt16LE(metadata.mode, 6);
  bytes.writeUInt32LE(metadata.uid, 8);
  bytes.writeUInt32LE(metadata.gid, 12);
  bytes.writeBigInt64LE(metadata.mtimeNs, 16);
  bytes.writeBigInt64LE(metadata.ctimeNs, 24);
  bytes.writeBigUInt64LE(metadata.inode, 32);
  bytes.writeBigUInt64LE(metadata.deviceId, 40);
  bytes.writeBigUInt64LE(metadata.device ?? 0n, 48);
  bytes.writeUInt32LE(metadata.links, 56);
  bytes.writeUInt32LE(record.copy ?? 0, 60);
  bytes.writeDoubleLE(record.sizeBytes, 64);
  bytes.writeDoubleLE(record.diskBytes, 72);
  bytes.writeDoubleLE(record.content?.sizeBytes ?? 0, 80);
  bytes.writeUInt32LE(metadata.xattrs?.length ?? 0, 88);
  let at = 4 + fixedBytes;
  for (const part of parts) {
    bytes.writeUInt32LE(part.length, at);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return bytes;
}

/** The path alone of the record that starts at `at`. */
export function decodePath(bytes: Buffer, at: number): EntryPath {
  const start = at + 4 + fixedBytes;
  return bytes.subarray(start + 4, start + 4 + bytes.readUInt32LE(start));
}

/** The record that starts at `at`; copies what it takes from `bytes`. */
export function decodeRecord(bytes: Buffer, start: number): TreeRecord {
  let at = start + 4 + fixedBytes;
  const part = (): Buffer => {
    const length = bytes.readUInt32LE(at);
    if (length === 0) {
      at += 4;
      return nothing;
    }
    const value = Buffer.from(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
    return value;
  };
  const path = part();
  const linkTarget = part();
  const error = part();
  const unreadable = error.length === 0 ? "" : error.toString();
  const blobIds = part();
  const xattrCount = bytes.readUInt32LE(start + 88);
  const xattrs: ExtendedAttribute[] = [];
  while (xattrs.length < xattrCount) xattrs.push({ name: part().toString(), value: part() });
  const type = entryTypes[bytes.readUInt8(start + 4)];
  if (type === undefined) throw new RangeError("A record of the listing has an unknown type.");
  const flags = bytes.readUInt8(start + 5);
  return {
    path,
    metadata: {
      type,
      mode: bytes.readUInt16LE(start + 6),
      uid: bytes.readUInt32LE(start + 8),
      gid: bytes.readUInt32LE(start + 12),
      mtimeNs: bytes.readBigInt64LE(start + 16),
      ctimeNs: bytes.readBigInt64LE(start + 24),
      inode: bytes.readBigUInt64LE(start + 32),
      deviceId: bytes.readBigUInt64LE(start + 40),
      links: bytes.readUInt32LE(start + 56),
      ...(type === "symlink" ? { linkTarget } : {}),
      ...((flags & hasDevice) === 0 ? {} : { device: bytes.readBigUInt64LE(start + 48) }),
      ...(xattrs.length > 0 ? { xattrs } : {}),
    },
    sizeBytes: bytes.readDoubleLE(start + 64),
    diskBytes: bytes.readDoubleLE(start + 72),
    ...((flags & hasContent) === 0 ? {} : { content: { sizeBytes: bytes.readDoubleLE(start + 80), blobIds } }),
    ...((flags & hasCopy) === 0 ? {} : { copy: bytes.readUInt32LE(start + 60) }),
    ...((flags & isRacyFlag) === 0 ? {} : { racy: true }),
    ...(unreadable === "" ? {} : { unreadable }),
    ...((flags & hasBase) === 0 ? {} : { base: decodeBase(part()) }),
  };
}
