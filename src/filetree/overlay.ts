import { compareEntryPaths, type EntryPath, splitEntryPath } from "../component/index.ts";
import type { TreeRecord } from "./tree-record.ts";

interface OverlayNode {
  /** Undefined: nothing is known here beyond the listing; null: there is nothing at this path. */
  record: TreeRecord | null | undefined;
  /** What the listing says below this path is void: all that is there is in the overlay. */
  replaces: boolean;
  /** By name as latin1 text. */
  children: Map<string, OverlayNode> | undefined;
}

const newNode = (): OverlayNode => ({ record: undefined, replaces: false, children: undefined });

/** What changed in a tree since its listing was written. Memory is proportional to that. */
export class Overlay {
  #root = newNode();
  /** Entries set since the start, to tell when it is time to write a new listing. */
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Whether the listing has the word on everything. */
  get isEmpty(): boolean {
    const { record, replaces, children } = this.#root;
    return record === undefined && !replaces && children === undefined;
  }

  /** The entry now is as the record says. A record that is no directory voids all below. */
  set(record: TreeRecord): void {
    const node = this.#node(record.path);
    if (node.record === undefined) this.#size += 1;
    node.record = record;
    if (record.metadata.type !== "dir") this.#void(node);
  }

  /** There is nothing at this path, or something that a backup leaves out. */
  remove(path: EntryPath): void {
    const node = this.#node(path);
    if (node.record === undefined) this.#size += 1;
    node.record = null;
    this.#void(node);
  }

  /** The directory at this path is another one than before: forgets all below. Its entries are set anew. */
  replaceBelow(path: EntryPath): void {
    this.#void(this.#node(path));
  }

  #void(node: OverlayNode): void {
    node.replaces = true;
    node.children = undefined;
  }

  #node(path: EntryPath): OverlayNode {
    let node = this.#root;
    for (const name of splitEntryPath(path)) {
      const key = name.toString("latin1");
      node.children ??= new Map();
      let child = node.children.get(key);
      if (child === undefined) {
        child = newNode();
        node.children.set(key, child);
      }
      node = child;
    }
    return node;
  }

  /** The record set at this path; null if it is known to be gone; undefined if the listing has the word. */
  find(path: EntryPath): TreeRecord | null | undefined {
    let node: OverlayNode | undefined = this.#root;
    let voided = node.replaces;
    for (const name of splitEntryPath(path)) {
      node = node.children?.get(name.toString("latin1"));
      if (node === undefined) return voided ? null : undefined;
      if (node.record === undefined && voided) return null;
      voided ||= node.replaces;
    }
    return node.record;
  }

  /** Whether a record of the listing has been overtaken. */
  hides(path: EntryPath): boolean {
    let node: OverlayNode | undefined = this.#root;
    for (const name of splitEntryPath(path)) {
      if (node.replaces) return true;
      node = node.children?.get(name.toString("latin1"));
      if (node === undefined) return false;
    }
    return node.record !== undefined;
  }

  #isReplaced(path: EntryPath): boolean {
    let node: OverlayNode | undefined = this.#root;
    for (const name of splitEntryPath(path)) {
      if (node === undefined || node.replaces) break;
      node = node.children?.get(name.toString("latin1"));
    }
    return node?.replaces === true;
  }

  /** The records, in the order of their paths. */
  *records(): Generator<TreeRecord> {
    yield* walk(this.#root);
  }

  /** Whether anything is known of what is directly in this directory. */
  changesIn(directory: EntryPath): boolean {
    let node: OverlayNode | undefined = this.#root;
    for (const name of splitEntryPath(directory)) node = node?.children?.get(name.toString("latin1"));
    for (const child of node?.children?.values() ?? []) if (child.record !== undefined) return true;
    return false;
  }

  /**
   * The listing's records and these, merged in order. Bases of directories in which anything changed must be expanded
   * before.
   */
  async *merge(listing: AsyncIterable<TreeRecord>): AsyncGenerator<TreeRecord> {
    const changed = this.records();
    let next = changed.next();
    for await (const record of listing) {
      let order = -1;
      while (next.done !== true && (order = compareEntryPaths(next.value.path, record.path)) < 0) {
        yield next.value;
        next = changed.next();
      }
      if (next.done !== true && order === 0) {
        // Its own metadata changed; what is in it is as it was, unless it is another directory.
        yield record.base === undefined || this.#isReplaced(record.path)
          ? next.value
          : { ...next.value, base: record.base };
        next = changed.next();
      } else if (!this.hides(record.path)) yield record;
    }
    for (; next.done !== true; next = changed.next()) yield next.value;
  }
}

function* walk(node: OverlayNode): Generator<TreeRecord> {
  if (node.record === null) return;
  if (node.record !== undefined) yield node.record;
  // Something set below a path that turned out to hold no directory is out of date.
  if (node.children === undefined || (node.record !== undefined && node.record.metadata.type !== "dir")) return;
  // Latin1 text sorts by code units as its bytes do.
  const names = [...node.children.keys()].sort((a, b) => (a < b ? -1 : 1));
  for (const name of names) yield* walk(node.children.get(name) as OverlayNode);
}
