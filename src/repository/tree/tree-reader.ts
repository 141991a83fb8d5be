import type { HexId, TreeChild } from "../repository.ts";
import { decodeTree } from "./decode-tree.ts";
import { TreeText } from "./tree-text.ts";

/** Children of all kept trees together. */
const keptChildren = 100_000;

/** Loads the verified plaintext of a tree blob. */
export interface TreeBlobs {
  load(type: "tree", id: HexId): Promise<Buffer>;
}

interface KeptTree {
  readonly children: Promise<readonly TreeChild[]>;
  size: number;
}

/** Directories of snapshots by their ids. Keeps the most recently used, so that walks do not read a tree twice. */
export class TreeReader {
  readonly #blobs: TreeBlobs;
  readonly #kept = new Map<HexId, KeptTree>();
  #keptSize = 0;

  constructor(blobs: TreeBlobs) {
    this.#blobs = blobs;
  }

  /** @throws HoldfastError STORAGE_*, REPOSITORY_DAMAGED, ENTRY_UNSAFE */
  async children(id: HexId): Promise<readonly TreeChild[]> {
    const known = this.#kept.get(id);
    if (known !== undefined) {
      // The last in a Map's order is the most recently used.
      this.#kept.delete(id);
      this.#kept.set(id, known);
      return known.children;
    }
    const tree: KeptTree = { children: this.#load(id), size: 1 };
    this.#keep(id, tree);
    try {
      const children = await tree.children;
      if (this.#kept.get(id) === tree) {
        this.#keptSize += children.length;
        tree.size += children.length;
        this.#drop();
      }
      return children;
    } catch (error) {
      if (this.#kept.get(id) === tree) this.#forget(id, tree);
      throw error;
    }
  }

  /** The directory's text, which is not kept; undefined for one in another form than ours. @throws as `children` */
  async text(id: HexId): Promise<TreeText | undefined> {
    return TreeText.of(await this.#blobs.load("tree", id));
  }

  /** Begins to load a directory that will be asked for soon. */
  prefetch(id: HexId): void {
    // Who asks for it gets the error.
    this.children(id).catch(() => undefined);
  }

  /** Says that a walk is through with a directory: it need not be kept. */
  release(id: HexId): void {
    const tree = this.#kept.get(id);
    if (tree !== undefined) this.#forget(id, tree);
  }

  /** The directory's child of this name. */
  async child(id: HexId, name: Buffer): Promise<TreeChild | undefined> {
    const children = await this.children(id);
    let low = 0;
    let high = children.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const child = children[middle] as TreeChild;
      const order = Buffer.compare(child.name, name);
      if (order === 0) return child;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return undefined;
  }

  async #load(id: HexId): Promise<readonly TreeChild[]> {
    return decodeTree(await this.#blobs.load("tree", id), `tree ${id}`);
  }

  #keep(id: HexId, tree: KeptTree): void {
    this.#kept.set(id, tree);
    this.#keptSize += tree.size;
    this.#drop();
  }

  #forget(id: HexId, tree: KeptTree): void {
    this.#kept.delete(id);
    this.#keptSize -= tree.size;
  }

  #drop(): void {
    for (const [id, tree] of this.#kept) {
      if (this.#keptSize <= keptChildren || this.#kept.size === 1) return;
      this.#forget(id, tree);
    }
  }
}
