import type { DirectoryBase, DirectoryComparison, EntryMetadata, PreviousEntry } from "../../component/index.ts";
import type { BlobIndex } from "../index/blob-index.ts";
import type { HexId } from "../repository.ts";
import { encodeNodeHead } from "../tree/tree-format.ts";
import type { NodePlaces, TreeText } from "../tree/tree-text.ts";

/** Of the pieces `"<id>",` that a file's content is made of. */
const idDigits = 64;

/** Compares a directory with a stored tree: what a node would say now with the text of the tree. */
export class StoredComparison implements DirectoryComparison {
  readonly #id: HexId;
  readonly #tree: TreeText;
  readonly #index: BlobIndex;
  readonly #isKept: boolean;
  readonly #decode: (node: string) => PreviousEntry | undefined;
  readonly #without: Buffer[] = [];
  readonly #blobId = Buffer.alloc(idDigits / 2);
  #at = 0;
  #same = 0;
  #others = 0;
  #directories = 0;

  /** `decode` gives the entry of a node's text, undefined if its bytes are not all there. */
  constructor(parts: {
    readonly id: HexId;
    readonly tree: TreeText;
    readonly index: BlobIndex;
    readonly decode: (node: string) => PreviousEntry | undefined;
  }) {
    this.#id = parts.id;
    this.#tree = parts.tree;
    this.#index = parts.index;
    this.#decode = parts.decode;
    // A new snapshot must not rely on what a prune has marked.
    this.#isKept = parts.index.has("tree", Buffer.from(parts.id, "hex"));
  }

  isSame(name: Buffer, metadata: EntryMetadata, sizeBytes: number): boolean {
    const node = this.#tree.nodes[this.#at];
    // A file with several names may be written to by another: each is looked at by itself.
    if (node === undefined || !this.#isKept || metadata.links > 1) return false;
    if (!this.#tree.text.startsWith(encodeNodeHead(name, metadata, sizeBytes), node.start)) return false;
    if (metadata.type === "file" && !this.#hasBytes(node.content)) return false;
    this.#at += 1;
    this.#same += 1;
    return true;
  }

  differs(name: Buffer): PreviousEntry | undefined {
    const { text } = this.#tree;
    this.#others += 1;
    const found = this.#passTo(name);
    return found === undefined || found.isDirectory ? undefined : this.#decode(text.slice(found.start, found.end));
  }

  nextDirectory(name: Buffer): void {
    this.#directories += 1;
    this.#passTo(name);
  }

  end(): DirectoryBase | undefined {
    this.#passTo(undefined);
    if (this.#same === 0) return undefined;
    const whole = this.#others === 0 && this.#directories === 0 && this.#without.length === 0;
    return {
      tree: Buffer.from(this.#id, "hex"),
      without: this.#without,
      whole: whole && this.#tree.nodes.length === this.#same,
    };
  }

  /** Leaves behind what comes before the name, and the node of this name, which it returns if there is one. */
  #passTo(name: Buffer | undefined): NodePlaces | undefined {
    for (let node = this.#tree.nodes[this.#at]; node !== undefined; node = this.#tree.nodes[this.#at]) {
      const nodeName = this.#tree.name(node);
      const order = name === undefined ? -1 : Buffer.compare(nodeName, name);
      if (order > 0) return undefined;
      this.#at += 1;
      if (!node.isDirectory) this.#without.push(nodeName);
      if (order === 0) return node;
    }
    return undefined;
  }

  /** Whether the repository has all blobs of the list at this place. */
  #hasBytes(content: number): boolean {
    const { text } = this.#tree;
    if (text[content] !== "[") return false;
    for (let at = content + 1; text[at] === '"'; at += idDigits + 3) {
      const digits = this.#blobId.write(text.slice(at + 1, at + 1 + idDigits), "hex");
      if (digits !== this.#blobId.length || !this.#index.has("data", this.#blobId)) return false;
    }
    return true;
  }
}
