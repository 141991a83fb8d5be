import {
  type DirectoryComparison,
  type EntryPath,
  type PreviousEntries,
  type PreviousEntry,
  splitEntryPath,
} from "../../component/index.ts";
import type { LoadedIndex } from "../index/load-index.ts";
import type { HexId, TreeChild } from "../repository.ts";
import { decodeTree } from "../tree/decode-tree.ts";
import type { TreeReader } from "../tree/tree-reader.ts";
import type { NodePlaces, TreeText } from "../tree/tree-text.ts";
import { StoredComparison } from "./stored-comparison.ts";

/** A directory that was compared, to find those below it. */
interface ComparedDirectory {
  readonly name: Buffer;
  readonly id: HexId;
  readonly tree: TreeText | undefined;
}

/** Trees that are loaded before they are asked for. */
const treesAhead = 3;

/** The entries below one directory of an earlier snapshot. */
export class StoredPreviousEntries implements PreviousEntries {
  readonly #trees: TreeReader;
  readonly #index: LoadedIndex;
  readonly #root: HexId;
  /** From the root to the directory that was compared last. */
  #chain: ComparedDirectory[] = [];
  /** Trees that a scan will ask for next, on their way. */
  readonly #ahead = new Map<HexId, Promise<TreeText | undefined>>();

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
    return this.#entriesOf(await this.#trees.children(tree), prefix);
  }

  async compare(directory: EntryPath): Promise<DirectoryComparison | undefined> {
    const names = splitEntryPath(directory);
    let depth = 0;
    while (depth < names.length && this.#chain[depth + 1]?.name.equals(names[depth] as Buffer) === true) depth += 1;
    this.#chain = this.#chain.slice(0, depth + 1);
    if (this.#chain.length === 0) this.#chain.push(await this.#open(Buffer.alloc(0), this.#root));
    for (const name of names.slice(depth)) {
      const id = await this.#subtree(this.#chain.at(-1) as ComparedDirectory, name);
      if (id === undefined) return undefined;
      this.#chain.push(await this.#open(Buffer.from(name), id));
    }
    const { id, tree } = this.#chain.at(-1) as ComparedDirectory;
    const prefix = directory.length === 0 ? directory : Buffer.concat([directory, Buffer.from("/")]);
    if (tree === undefined) return new DecodedComparison(this.#entriesOf(await this.#trees.children(id), prefix));
    const decode = (node: string): PreviousEntry | undefined => {
      const [entry] = this.#entriesOf(decodeTree(Buffer.from(`{"nodes":[${node}]}`), `tree ${id}`), prefix).values();
      return entry;
    };
    return new StoredComparison({ id, tree, index: this.#index.blobs, decode });
  }

  async #open(name: Buffer, id: HexId): Promise<ComparedDirectory> {
    const ahead = this.#ahead.get(id);
    this.#ahead.delete(id);
    const tree = await (ahead ?? this.#trees.text(id));
    if (tree !== undefined) this.#loadAhead(tree, 0, 1);
    return { name, id, tree };
  }

  /** Begins to load the directories at and behind this place: a scan in order comes to them next. */
  #loadAhead(tree: TreeText, from: number, count: number): void {
    let left = count;
    for (let at = from; left > 0 && at < tree.nodes.length; at += 1) {
      const node = tree.nodes[at] as NodePlaces;
      const id = node.isDirectory ? tree.subtree(node) : undefined;
      if (id === undefined) continue;
      left -= 1;
      if (this.#ahead.has(id)) continue;
      const loading = this.#trees.text(id);
      // Whoever asks for it gets the error.
      loading.catch(() => undefined);
      this.#ahead.set(id, loading);
    }
    // What was not asked for is no longer there.
    for (const id of this.#ahead.keys()) {
      if (this.#ahead.size <= treesAhead) return;
      this.#ahead.delete(id);
    }
  }

  async #subtree({ id, tree }: ComparedDirectory, name: Buffer): Promise<HexId | undefined> {
    if (tree === undefined) return (await this.#trees.child(id, name))?.subtree;
    const at = tree.indexOf(name);
    const node = tree.nodes[at];
    if (node?.isDirectory !== true) return undefined;
    this.#loadAhead(tree, at + 1, 1);
    return tree.subtree(node);
  }

  /** A file whose blobs are not all there counts as new: it must be read again. */
  #entriesOf(children: readonly TreeChild[], prefix: Buffer): Map<string, PreviousEntry> {
    const entries = new Map<string, PreviousEntry>();
    for (const child of children) {
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

/** For a tree that another program wrote in another form: nothing in it can be taken over as it is. */
class DecodedComparison implements DirectoryComparison {
  readonly #entries: ReadonlyMap<string, PreviousEntry>;

  constructor(entries: ReadonlyMap<string, PreviousEntry>) {
    this.#entries = entries;
  }

  isSame(): boolean {
    return false;
  }

  differs(name: Buffer): PreviousEntry | undefined {
    return this.#entries.get(name.toString("latin1"));
  }

  nextDirectory(): void {
    // Only what is the same counts.
  }

  end(): undefined {
    return undefined;
  }
}
