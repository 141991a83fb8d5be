import { hash } from "node:crypto";
import { HoldfastError } from "../base/index.ts";
import { type ContentReader, joinEntryPath, type StoredEntry } from "../component/index.ts";
import { encodeTarHeader, tarEnd, tarPadding, type TarType } from "./tar-header.ts";

/** A part of a backup: everything at and below `path` of the archive. */
export interface TarPart {
  /** Where its root stands in the archive: "mounts/app/media". Empty for the whole. */
  readonly path: Buffer;
  /** Root first, paths relative to it. */
  readonly entries: AsyncIterable<StoredEntry>;
}

export interface TarOptions {
  readonly signal: AbortSignal;
  /** Called for each member, with what it adds. */
  readonly onMember: (bytes: number) => void;
  /** Sockets have no place in an archive. */
  readonly onSkipped: (path: Buffer) => void;
}

/** The archive's bytes, pulled as they are wanted. Hard links stay links within a part. */
export async function* tarArchive(
  parts: readonly TarPart[],
  contents: ContentReader,
  options: TarOptions,
): AsyncIterable<Buffer> {
  for (const part of parts) {
    const links = new LinkedFiles();
    for await (const entry of part.entries)
      yield* member(entry, fullPath(part.path, entry.path), links, contents, options);
  }
  yield tarEnd();
}

function fullPath(root: Buffer, path: Buffer): Buffer {
  if (path.length === 0) return root;
  return joinEntryPath(root, path);
}

async function* member(
  entry: StoredEntry,
  path: Buffer,
  links: LinkedFiles,
  contents: ContentReader,
  options: TarOptions,
): AsyncIterable<Buffer> {
  const { metadata, content } = entry;
  // The archive's own root has no name.
  if (path.length === 0) return;
  if (metadata.type === "socket") {
    options.onSkipped(path);
    return;
  }
  const earlier = links.earlier(entry, path);
  if (earlier !== undefined) {
    yield encodeTarHeader({ path, type: "link", metadata: withoutXattrs(entry), sizeBytes: 0, linkName: earlier });
    options.onMember(0);
    return;
  }
  const type: TarType = metadata.type;
  const sizeBytes = type === "file" ? (content?.sizeBytes ?? 0) : 0;
  const linkName = metadata.linkTarget === undefined ? {} : { linkName: Buffer.from(metadata.linkTarget) };
  yield encodeTarHeader({ path, type, metadata, sizeBytes, ...linkName });
  if (type === "file" && content !== undefined) {
    let written = 0;
    for await (const chunk of contents.read(content, options.signal)) {
      written += chunk.length;
      yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    }
    if (written !== sizeBytes) {
      throw new HoldfastError(
        "REPOSITORY_DAMAGED",
        `A file in the backup has ${written} bytes instead of ${sizeBytes}.`,
        {
          facts: { path: path.toString(), written, sizeBytes },
          remedy: "Check the repository:  holdfast repo:check --read-data",
        },
      );
    }
    yield tarPadding(sizeBytes);
  }
  options.onMember(sizeBytes);
}

const withoutXattrs = ({ metadata }: StoredEntry): StoredEntry["metadata"] => ({ ...metadata, xattrs: [] });

/** Remembers only files that have several names. */
class LinkedFiles {
  readonly #first = new Map<string, Buffer>();

  /** The path of an earlier name of the same file; the first name is remembered. */
  earlier({ metadata, content }: StoredEntry, path: Buffer): Buffer | undefined {
    if (metadata.type !== "file" || metadata.links < 2 || content === undefined) return undefined;
    // With the content in the key: two names frozen at different moments may no longer be equal.
    const key = `${metadata.deviceId}:${metadata.inode}:${content.sizeBytes}:${hash("sha256", content.blobIds, "base64")}`;
    const first = this.#first.get(key);
    if (first === undefined) this.#first.set(key, path);
    return first;
  }
}
