import { closeSync, lstatSync, openSync, readFileSync, unlinkSync, writeSync } from "node:fs";
import { HoldfastError } from "../base/index.ts";
import type { ContentReader, EntryMetadata, FileProperties, FileStamp, StoredContent } from "../component/index.ts";
import { generatedMetadata } from "../component/index.ts";
import { splitLastName } from "./directory-chain.ts";
import { LoopBreather } from "./event-loop.ts";
import { pathExists } from "./path-exists.ts";
import { setModificationTime, syncFileSystem } from "./posix/files.ts";
import { mappedFiles } from "./posix/mapped-files.ts";
import { MetadataWriter } from "./write-metadata.ts";

/** A file of a staged tree that is a second name of the live tree's file of the same path. */
interface SharedFile {
  /** Below the root. */
  readonly path: Buffer;
  readonly properties: FileProperties;
  readonly content: StoredContent;
  /** As it was when it got the second name. */
  readonly stamp: FileStamp;
}

// A record: u32 path length, number of blobs, mode, uid, gid, 0; f64 size; i64 modification and change time in
// nanoseconds; u64 inode; the path; ids of 32 bytes. Little-endian; never read by another version.
const fixedBytes = 56;
const flushBytes = 1 << 20;

/** Writes down which files a staged tree shares with the live one, for the process that exchanges them. */
export class SharedFilesWriter {
  readonly #fd: number;
  #parts: Buffer[] = [];
  #pending = 0;
  #count = 0;

  /** `path`: of the list; a file there is replaced. */
  constructor(path: string) {
    this.#fd = openSync(path, "w", 0o600);
  }

  get count(): number {
    return this.#count;
  }

  add({ path, properties, content, stamp }: SharedFile): void {
    const bytes = Buffer.alloc(fixedBytes + path.length + content.blobIds.length);
    bytes.writeUInt32LE(path.length, 0);
    bytes.writeUInt32LE(content.blobIds.length / 32, 4);
    bytes.writeUInt32LE(properties.mode, 8);
    bytes.writeUInt32LE(properties.uid, 12);
    bytes.writeUInt32LE(properties.gid, 16);
    bytes.writeDoubleLE(stamp.sizeBytes, 24);
    bytes.writeBigInt64LE(stamp.mtimeNs, 32);
    bytes.writeBigInt64LE(stamp.ctimeNs, 40);
    bytes.writeBigUInt64LE(stamp.inode, 48);
    bytes.set(path, fixedBytes);
    bytes.set(content.blobIds, fixedBytes + path.length);
    this.#count += 1;
    this.#parts.push(bytes);
    this.#pending += bytes.length;
    if (this.#pending >= flushBytes) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#parts.splice(0));
    for (let done = 0; done < bytes.length;) done += writeSync(this.#fd, bytes, done);
    this.#pending = 0;
  }

  /** Also after a failure. */
  close(): void {
    try {
      this.#flush();
    } finally {
      closeSync(this.#fd);
    }
  }
}

function* readSharedFiles(list: string): Generator<SharedFile> {
  const bytes = readFileSync(list);
  for (let at = 0; at < bytes.length;) {
    const pathEnd = at + fixedBytes + bytes.readUInt32LE(at);
    const end = pathEnd + bytes.readUInt32LE(at + 4) * 32;
    const mtimeNs = bytes.readBigInt64LE(at + 32);
    const sizeBytes = bytes.readDoubleLE(at + 24);
    yield {
      path: bytes.subarray(at + fixedBytes, pathEnd),
      properties: {
        mode: bytes.readUInt32LE(at + 8),
        uid: bytes.readUInt32LE(at + 12),
        gid: bytes.readUInt32LE(at + 16),
        mtimeNs,
      },
      content: { sizeBytes, blobIds: bytes.subarray(pathEnd, end) },
      stamp: { sizeBytes, mtimeNs, ctimeNs: bytes.readBigInt64LE(at + 40), inode: bytes.readBigUInt64LE(at + 48) },
    };
    at = end;
  }
}

export interface RenewOptions {
  /** The list that was written; none: nothing is shared. */
  readonly list: string;
  readonly live: Buffer;
  readonly staged: Buffer;
  readonly contents: ContentReader;
  /** Throws when it takes too long. */
  readonly checkDeadline: () => void;
}

/**
 * Gives the staged tree a file of its own, from the repository, wherever somebody has touched a shared one since it got
 * its second name, or may write to it through memory unseen. After it the staged tree is what was backed up, and nobody
 * has written to it. Returns how many files that were.
 * @throws HoldfastError REPOSITORY_*, STORAGE_*; what `checkDeadline` throws; system errors
 */
export async function renewTouched(options: RenewOptions): Promise<number> {
  if (!pathExists(options.list)) return 0;
  const { staged } = options;
  const mapped = mappedFiles(options.live);
  const breather = new LoopBreather();
  const prefix = Buffer.concat([staged, Buffer.from("/")]);
  let renewed = 0;
  for (const file of readSharedFiles(options.list)) {
    if (breather.due) {
      options.checkDeadline();
      await breather.breathe();
    }
    const path = file.path.length === 0 ? staged : Buffer.concat([prefix, file.path]);
    if (isUntouched(path, file.stamp) && !(mapped.size > 0 && mapped.has(file.path.toString("latin1")))) continue;
    await renew(path, file, options.contents);
    renewed += 1;
  }
  if (renewed > 0) syncFileSystem(staged);
  return renewed;
}

function isUntouched(path: Buffer, stamp: FileStamp): boolean {
  const stat = lstatSync(path, { bigint: true });
  return stat.ctimeNs === stamp.ctimeNs && stat.mtimeNs === stamp.mtimeNs && stat.ino === stamp.inode;
}

const fileMetadata = (properties: FileProperties): EntryMetadata => ({
  ...generatedMetadata("file", new Date(0)),
  ...properties,
});

async function renew(path: Buffer, { properties, content }: SharedFile, contents: ContentReader): Promise<void> {
  const { parent } = splitLastName(path);
  const { mtimeNs } = lstatSync(parent, { bigint: true });
  // The name alone: the file itself is the live tree's.
  unlinkSync(path);
  const [result] = await contents.writeFiles([{ path, content, properties }]);
  if (result?.status !== "written") {
    throw new HoldfastError(
      "SERVICE_SWAP_FAILED",
      `Could not write ${path.toString()}: ${result?.message ?? "no result"}`,
      {
        facts: { path: path.toString(), error: result?.code ?? "" },
        remedy: "Look at the folder's rights and the file system's state; everything is exchanged back.",
      },
    );
  }
  if (result.properties === undefined) new MetadataWriter().apply(path, fileMetadata(properties));
  setModificationTime(parent, mtimeNs);
}
