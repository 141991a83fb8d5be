import { HoldfastError } from "../../base/index.ts";
import {
  compareEntryPaths,
  type Entry,
  type EntryMetadata,
  type EntryPath,
  type StoredContent,
} from "../../component/index.ts";
import type { HexId, TreeStats } from "../repository.ts";
import { goQuote } from "../tree/go-text.ts";
import { checkName, encodeNode, joinNodes } from "../tree/tree-format.ts";

const slash = 0x2f;

interface OpenDirectory {
  readonly path: EntryPath;
  readonly name: Buffer;
  readonly metadata: EntryMetadata;
  readonly parent: { readonly directory: OpenDirectory; readonly place: number } | undefined;
  /** JSON of the children by their place; a place is empty as long as its content or subtree is not stored. */
  readonly nodes: string[];
  missing: number;
  /** No more children will come. */
  ended: boolean;
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
   * Takes the next entry in. For a file returns where its content goes: hand it to `complete`.
   * @throws HoldfastError ENTRY_UNSAFE for an entry out of order, twice, or without its directory
   */
  add({ path, metadata, content }: Entry): PendingFile | undefined {
    if ((metadata.type === "file") !== (content !== undefined)) {
      throw new TypeError(`The entry "${goQuote(path)}" of type ${metadata.type} has the content of another type.`);
    }
    if (this.#last === undefined) {
      this.#addRoot(path, metadata);
      return undefined;
    }
    if (compareEntryPaths(this.#last, path) >= 0) throw unsafe(path, "is out of order or comes twice");
    this.#last = Buffer.from(path);
    const cut = path.lastIndexOf(slash);
    const name = Buffer.from(path.subarray(cut + 1));
    checkName(name);
    const directory = this.#enter(path, cut === -1 ? path.subarray(0, 0) : path.subarray(0, cut));
    const place = directory.nodes.push("") - 1;
    if (metadata.type === "file") {
      directory.missing += 1;
      return { directory, place, name, metadata, path: this.#last };
    }
    if (metadata.type !== "dir") {
      directory.nodes[place] = encodeNode({ name, metadata });
      return undefined;
    }
    directory.missing += 1;
    this.#stats.directories += 1;
    const parent = { directory, place };
    this.#current = { path: this.#last, name, metadata, parent, nodes: [], missing: 0, ended: false };
    return undefined;
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

  #addRoot(path: EntryPath, metadata: EntryMetadata): void {
    if (path.length > 0 || metadata.type !== "dir") throw unsafe(path, "comes before the root directory");
    this.#last = Buffer.alloc(0);
    this.#stats.directories += 1;
    const name = Buffer.alloc(0);
    this.#current = { path: this.#last, name, metadata, parent: undefined, nodes: [], missing: 0, ended: false };
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

  #finish(directory: OpenDirectory): void {
    if (!directory.ended || directory.missing > 0) return;
    const subtree = this.#storeTree(joinNodes(directory.nodes));
    const { parent, name, metadata } = directory;
    if (parent === undefined) this.#root = subtree;
    else this.#fill(parent.directory, parent.place, encodeNode({ name, metadata, subtree }));
  }
}

function unsafe(path: EntryPath, what: string): HoldfastError {
  const name = path.length === 0 ? "The root directory" : `The entry "${goQuote(path)}"`;
  return new HoldfastError("ENTRY_UNSAFE", `${name} ${what}.`);
}
