import { envelopeOverhead } from "../crypto/envelope.ts";
import { readTwice } from "../damage.ts";
import type { LoadedIndex } from "../index/load-index.ts";
import type { BlobLoader } from "../pack/blob-loader.ts";
import type { HexId, Snapshot, TreeChild } from "../repository.ts";
import { goQuote } from "../tree/go-text.ts";
import { FaultTracer, type TreeFaults } from "../tree/fault-tracer.ts";
import { TreeReader } from "../tree/tree-reader.ts";
import { type DamagedSnapshot, maxReportedPaths } from "./repair-types.ts";

const lost = 0;
const isLost = [lost];
const isThere: readonly number[] = [];
/** Subdirectories that are loaded ahead. */
const ahead = 8;

/** What snapshots lost: directories that cannot be read, and files some of whose blobs are gone or of another length. */
export class LostData implements TreeFaults {
  readonly #index: LoadedIndex;
  readonly #trees: TreeReader;
  readonly #tracer = new FaultTracer(this);
  readonly #unreadable = new Set<HexId>();
  readonly #onTree: () => void;

  constructor(index: LoadedIndex, loader: BlobLoader, onTree: () => void) {
    this.#index = index;
    this.#trees = new TreeReader(loader);
    this.#onTree = onTree;
  }

  /** Packs in which a tree lies that cannot be read. */
  packsInDoubt(): ReadonlySet<HexId> {
    const packs = new Set<HexId>();
    for (const tree of this.#unreadable) {
      const location = this.#index.blobs.locate("tree", Buffer.from(tree, "hex"));
      const pack = location === undefined ? undefined : this.#index.packs[location.pack];
      if (pack !== undefined) packs.add(pack);
    }
    return packs;
  }

  /** Undefined for a snapshot that is whole. @throws HoldfastError STORAGE_*, INTERRUPTED */
  async of(snapshot: Snapshot, signal: AbortSignal): Promise<DamagedSnapshot | undefined> {
    const { tree } = snapshot;
    const pathsTotal = (await this.#tracer.below(tree, signal)).get(lost) ?? 0;
    if (pathsTotal === 0) return undefined;
    const paths = await this.#tracer.places(tree, lost, maxReportedPaths);
    return {
      snapshot,
      paths,
      pathsTotal,
      lostBelow: await this.#lostBelow(tree),
      nothingLeft: this.#unreadable.has(tree),
    };
  }

  async #lostBelow(root: HexId): Promise<Map<string, number>> {
    const below = new Map<string, number>();
    for (const child of await this.children(root)) {
      const own = this.ofFile(root, child).length;
      const count = child.subtree === undefined ? own : ((await this.#tracer.below(child.subtree)).get(lost) ?? 0);
      if (count > 0) below.set(goQuote(child.name), count);
    }
    return below;
  }

  /** The directory's children that are left; those directories among them that lost something are not `whole`. */
  async remaining(tree: HexId): Promise<{ readonly child: TreeChild; readonly whole: boolean }[]> {
    const left: { readonly child: TreeChild; readonly whole: boolean }[] = [];
    for (const child of await this.children(tree)) {
      if (this.ofFile(tree, child).length > 0) continue;
      const { subtree } = child;
      if (subtree === undefined) left.push({ child, whole: true });
      else if (!this.#unreadable.has(subtree)) {
        left.push({ child, whole: !(await this.#tracer.below(subtree)).has(lost) });
      }
    }
    return left;
  }

  async children(tree: HexId): Promise<readonly TreeChild[]> {
    if (this.#unreadable.has(tree)) return [];
    const children = await readTwice(() => this.#trees.children(tree));
    if (children === undefined) {
      this.#unreadable.add(tree);
      return [];
    }
    this.#onTree();
    let loading = 0;
    for (const { subtree } of children) {
      if (subtree === undefined) continue;
      this.#trees.prefetch(subtree);
      loading += 1;
      if (loading === ahead) break;
    }
    return children;
  }

  ofTree(tree: HexId): readonly number[] {
    return this.#unreadable.has(tree) ? isLost : isThere;
  }

  ofFile(_tree: HexId, { content }: TreeChild): readonly number[] {
    if (content === undefined) return isThere;
    let bytes = 0;
    for (let at = 0; at < content.blobIds.length; at += 32) {
      const blob = this.#index.blobs.locate("data", content.blobIds.subarray(at, at + 32));
      if (blob === undefined) return isLost;
      bytes += blob.uncompressedLength > 0 ? blob.uncompressedLength : blob.length - envelopeOverhead;
    }
    return bytes === content.sizeBytes ? isThere : isLost;
  }
}
