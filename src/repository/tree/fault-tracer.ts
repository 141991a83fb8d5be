import { throwIfAborted } from "../../base/index.ts";
import { BlobIndex } from "../index/blob-index.ts";
import type { HexId, TreeChild } from "../repository.ts";
import { goQuote } from "./go-text.ts";

/** What is wrong with directories and files themselves: numbers that the caller gives its findings. */
export interface TreeFaults {
  /** The directory's children; none if it cannot be read. Asked first. */
  children(tree: HexId): Promise<readonly TreeChild[]>;
  ofTree(tree: HexId): readonly number[];
  ofFile(tree: HexId, child: TreeChild): readonly number[];
}

/** How many files and directories have each fault. Of a directory that cannot be read it alone counts. */
export type FaultCounts = ReadonlyMap<number, number>;

interface OpenTree {
  readonly id: HexId;
  readonly children: readonly TreeChild[];
  readonly counts: Map<number, number>;
  at: number;
}

const none: FaultCounts = new Map();
/** Deeper than any file system lets paths be; only a forged tree goes on. */
const maxDepth = 4096;

/** Finds the places in snapshots that faults concern. Each tree is read once for that, however many snapshots share it. */
export class FaultTracer {
  readonly #faults: TreeFaults;
  /** Trees with faults at or below them. */
  readonly #counts = new Map<HexId, FaultCounts>();
  /** The others, as a set: 32 bytes an id instead of some hundred. */
  readonly #sound = new BlobIndex();

  constructor(faults: TreeFaults) {
    this.#faults = faults;
  }

  /** The faults at and below the directory. @throws HoldfastError INTERRUPTED; what reading throws */
  async below(root: HexId, signal?: AbortSignal): Promise<FaultCounts> {
    const known = this.#known(root);
    if (known !== undefined) return known;
    // Not recursive: a tree may be deeper than the stack.
    const stack = [await this.#open(root)];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      throwIfAborted(signal);
      const child = top.children[top.at];
      if (child === undefined) {
        stack.pop();
        this.#keep(top);
        const above = stack.at(-1);
        if (above !== undefined) add(above.counts, top.counts);
        continue;
      }
      top.at += 1;
      for (const fault of this.#faults.ofFile(top.id, child)) top.counts.set(fault, (top.counts.get(fault) ?? 0) + 1);
      if (child.subtree === undefined) continue;
      const counts = this.#known(child.subtree);
      if (counts === undefined) stack.push(await this.#open(child.subtree));
      else add(top.counts, counts);
    }
    return this.#known(root) ?? none;
  }

  /**
   * The first `limit` paths below a directory that `below` was asked about which have this fault: "/media/a.jpg", and
   * "/media/2025/" for a directory. Names as restic quotes them.
   */
  async places(root: HexId, fault: number, limit: number): Promise<string[]> {
    const places: string[] = [];
    const visit = async (id: HexId, path: string, depth: number): Promise<void> => {
      if (depth > maxDepth) return;
      if (this.#faults.ofTree(id).includes(fault)) places.push(`${path}/`);
      for (const child of await this.#faults.children(id)) {
        if (places.length >= limit) return;
        const place = `${path}/${goQuote(child.name)}`;
        if (this.#faults.ofFile(id, child).includes(fault)) places.push(place);
        const { subtree } = child;
        if (subtree !== undefined && this.#counts.get(subtree)?.has(fault)) await visit(subtree, place, depth + 1);
      }
    };
    if (this.#counts.get(root)?.has(fault)) await visit(root, "", 0);
    return places.slice(0, limit);
  }

  async #open(id: HexId): Promise<OpenTree> {
    const children = await this.#faults.children(id);
    return { id, children, counts: new Map(this.#faults.ofTree(id).map((fault) => [fault, 1])), at: 0 };
  }

  #known(id: HexId): FaultCounts | undefined {
    return this.#counts.get(id) ?? (this.#sound.has("tree", Buffer.from(id, "hex")) ? none : undefined);
  }

  #keep({ id, counts }: OpenTree): void {
    if (counts.size > 0) this.#counts.set(id, counts);
    else this.#sound.claim("tree", Buffer.from(id, "hex"));
  }
}

function add(to: Map<number, number>, counts: FaultCounts): void {
  for (const [fault, count] of counts) to.set(fault, (to.get(fault) ?? 0) + count);
}
