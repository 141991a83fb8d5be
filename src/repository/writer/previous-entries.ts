import {
  type EntryPath,
  type FileStamp,
  type PreviousEntries,
  splitEntryPath,
  type StoredEntry,
} from "../../component/index.ts";
import type { LoadedIndex } from "../index/load-index.ts";
import type { HexId, TreeChild } from "../repository.ts";
import type { TreeReader } from "../tree/tree-reader.ts";

type PreviousEntry = StoredEntry & { readonly stamp?: FileStamp };

/** The entries below one directory of an earlier snapshot. */
export class StoredPreviousEntries implements PreviousEntries {
  readonly #trees: TreeReader;
  readonly #index: LoadedIndex;
  readonly #root: HexId;

  constructor(trees: TreeReader, index: LoadedIndex, root: HexId) {
    this.#trees = trees;
    this.#index = index;
    this.#root = root;
  }

  async list(directory: EntryPath): Promise<ReadonlyMap<string, PreviousEntry> | undefined> {
    let tree = this.#root;
    for (const name of splitEntryPath(directory)) {
      const child = await this.#trees.child(tree, name);
      if (child?.subtree === undefined) return undefined;
      tree = child.subtree;
    }
    const prefix = directory.length === 0 ? directory : Buffer.concat([directory, Buffer.from("/")]);
    const entries = new Map<string, PreviousEntry>();
    for (const child of await this.#trees.children(tree)) {
      // A file whose blobs are not all there counts as new: it must be read again.
      if (child.content !== undefined && !this.#hasAll(child.content.blobIds)) continue;
      entries.set(child.name.toString("latin1"), toEntry(prefix, child));
    }
    return entries;
  }

  #hasAll(blobIds: Uint8Array): boolean {
    for (let at = 0; at < blobIds.length; at += 32) {
      if (!this.#index.blobs.has("data", blobIds.subarray(at, at + 32))) return false;
    }
    return true;
  }
}

function toEntry(prefix: Buffer, { name, metadata, content }: TreeChild): PreviousEntry {
  const path = Buffer.concat([prefix, name]);
  if (content === undefined) return { path, metadata };
  const { mtimeNs, ctimeNs, inode } = metadata;
  return { path, metadata, content, stamp: { sizeBytes: content.sizeBytes, mtimeNs, ctimeNs, inode } };
}
