import { HoldfastError } from "../../base/index.ts";
import {
  compareEntryPaths,
  type Entry,
  type EntryBase,
  type EntryMetadata,
  type EntryPath,
  type StoredContent,
} from "../../component/index.ts";
import type { HexId, TreeStats } from "../repository.ts";
import { goQuote } from "../tree/go-text.ts";
import { checkName, encodeNode, joinNodes, treeText } from "../tree/tree-format.ts";
import type { TreeText } from "../tree/tree-text.ts";

const slash = 0x2f;

interface OpenDirectory {
  readonly path: EntryPath;
  readonly name: Buffer;
  readonly metadata: EntryMetadata;
  readonly parent: { readonly directory: OpenDirectory; readonly place: number } | undefined;
  /** What it has in common with an earlier tree. */
  readonly base: LoadedBase | undefined;
  /** Names of the children by their place; only with a base. */
  readonly names: Buffer[];
  /** JSON of the children by their place; a place is empty as long as its content or subtree is not stored. */
  readonly nodes: string[];
  missing: number;
  /** No more children will come. */
  ended: boolean;
}

/** The basis of a directory, with the text of its tree, which one that is taken over whole does not need. */
export interface LoadedBase {
  readonly base: EntryBase;
  readonly tree: TreeText | undefined;
}

/** A file whose content is still being stored. */
export interface PendingFile {
  readonly directory: OpenDirectory;
  readonly place: number;
  readonly name: Buffer;
  readonly metadata: EntryMetadata;
  readonly path: EntryPath;
}

/**
 * Builds trees out of entries in the order of `compareEntryPaths`. Keeps the nodes of those directories only that are
 * still open, or wait for contents.
 */
export class TreeBuilder {
  readonly #storeTree: (tree: Buffer) => HexId;
  readonly #stats = { files: 0, directories: 0, bytes: 0 };
  #current: OpenDirectory | undefined;
  #last: EntryPath | undefined;
  #root: HexId | undefined;

  constructor(storeTree: (tree: Buffer) => HexId) {
    this.#storeTree = storeTree;
  }

  /**
   * Takes the next entry in, a directory with its basis. For a file returns where its content goes: hand it to `complete`.
   * @throws HoldfastError ENTRY_UNSAFE for an entry out of order, twice, or without its directory
   */
  add({ path, metadata, content }: Entry, base?: LoadedBase): PendingFile | undefined {
    if ((metadata.type === "file") !== (content !== undefined)) {
      throw new TypeError(`The entry "${goQuote(path)}" of type ${metadata.type} has the content of another type.`);
    }
    if (this.#last === undefined) {
      this.#addRoot(path, metadata, base);
      return undefined;
    }
    if (compareEntryPaths(this.#last, path) >= 0) throw unsafe(path, "is out of order or comes twice");
    this.#last = Buffer.from(path);
    const cut = path.lastIndexOf(slash);
    const name = Buffer.from(path.subarray(cut + 1));
    checkName(name);
    const directory = this.#enter(path, cut === -1 ? path.subarray(0, 0) : path.subarray(0, cut));
    const place = directory.nodes.push("") - 1;
    if (directory.base !== undefined) directory.names.push(name);
    if (metadata.type === "file") {
      directory.missing += 1;
      return { directory, place, name, metadata, path: this.#last };
    }
    if (metadata.type !== "dir") {
      directory.nodes[place] = encodeNode({ name, metadata });
      return undefined;
    }
    directory.missing += 1;
    this.#current = this.#open({ path: this.#last, name, metadata, parent: { directory, place }, base });
    return undefined;
  }

  #open(opened: Pick<OpenDirectory, "path" | "name" | "metadata" | "parent" | "base">): OpenDirectory {
    this.#stats.directories += 1;
    this.#stats.files += opened.base?.base.files ?? 0;
    this.#stats.bytes += opened.base?.base.bytes ?? 0;
    return { ...opened, names: [], nodes: [], missing: 0, ended: false };
  }

  complete(file: PendingFile, content: StoredContent): void {
    const { directory, place, name, metadata } = file;
    this.#stats.files += 1;
    this.#stats.bytes += content.sizeBytes;
    this.#fill(directory, place, encodeNode({ name, metadata, content }));
  }

  /** No more entries. */
  end(): void {
    if (this.#last === undefined) throw unsafe(Buffer.alloc(0), "is missing");
    while (this.#current !== undefined) this.#leave(this.#current);
  }

  /** The root's tree, once every pending file is complete. */
  result(): TreeStats & { readonly id: HexId } {
    if (this.#root === undefined) throw new HoldfastError("INTERNAL", "A tree was asked for before it was complete.");
    return { id: this.#root, ...this.#stats };
  }

  #addRoot(path: EntryPath, metadata: EntryMetadata, base: LoadedBase | undefined): void {
    if (path.length > 0 || metadata.type !== "dir") throw unsafe(path, "comes before the root directory");
    this.#last = Buffer.alloc(0);
    this.#current = this.#open({ path: this.#last, name: Buffer.alloc(0), metadata, parent: undefined, base });
  }

  /** Ends directories up to the entry's own. */
  #enter(path: EntryPath, parent: EntryPath): OpenDirectory {
    for (let directory = this.#current; directory !== undefined; directory = this.#current) {
      if (directory.path.equals(parent)) return directory;
      this.#leave(directory);
    }
    throw unsafe(path, "comes without the directory that it is in");
  }

  #leave(directory: OpenDirectory): void {
    this.#current = directory.parent?.directory;
    directory.ended = true;
    this.#finish(directory);
  }

  #fill(directory: OpenDirectory, place: number, node: string): void {
    directory.nodes[place] = node;
    directory.missing -= 1;
    this.#finish(directory);
  }

  #store(directory: OpenDirectory): HexId {
    const { base, nodes, path } = directory;
    if (base === undefined) return this.#storeTree(joinNodes(nodes));
    const id = Buffer.from(base.base.tree).toString("hex");
    if (base.base.whole) {
      if (nodes.length > 0) throw new TypeError(`More is in "${goQuote(path)}" than in its basis.`);
      return id;
    }
    const text = joinWithBase({ ...directory, base });
    return text === base.tree?.text ? id : this.#storeTree(Buffer.from(text));
  }

  #finish(directory: OpenDirectory): void {
    if (!directory.ended || directory.missing > 0) return;
    const subtree = this.#store(directory);
    const { parent, name, metadata } = directory;
    if (parent === undefined) this.#root = subtree;
    else this.#fill(parent.directory, parent.place, encodeNode({ name, metadata, subtree }));
  }
}

/** A tree's text with what the basis has in common with it and the nodes that it has besides. */
function joinWithBase({ base, names, nodes, path }: OpenDirectory & { readonly base: LoadedBase }): string {
  const { tree } = base;
  if (tree === undefined) throw new TypeError(`The basis of "${goQuote(path)}" is not there whole.`);
  const without = new Set(base.base.without.map((name) => name.toString("latin1")));
  const parts: string[] = [];
  let place = 0;
  for (const node of tree.nodes) {
    if (node.isDirectory) continue;
    const name = tree.name(node);
    if (without.has(name.toString("latin1"))) continue;
    for (; place < nodes.length && Buffer.compare(names[place] as Buffer, name) < 0; place += 1) {
      parts.push(nodes[place] as string);
    }
    if (names[place]?.equals(name) === true) throw unsafe(path, `has "${goQuote(name)}" twice`);
    parts.push(tree.text.slice(node.start, node.end));
  }
  return treeText([...parts, ...nodes.slice(place)]);
}

function unsafe(path: EntryPath, what: string): HoldfastError {
  const name = path.length === 0 ? "The root directory" : `The entry "${goQuote(path)}"`;
  return new HoldfastError("ENTRY_UNSAFE", `${name} ${what}.`);
}
