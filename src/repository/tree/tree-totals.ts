import { throwIfAborted } from "../../base/index.ts";
import type { HexId } from "../repository.ts";
import type { TreeReader } from "./tree-reader.ts";

/** Sums of the files' sizes below directories; each tree is read once, however many snapshots share it. */
export class TreeTotals {
  readonly #trees: TreeReader;
  readonly #known = new Map<HexId, number>();

  constructor(trees: TreeReader) {
    this.#trees = trees;
  }

  /** Bytes of all files below the directory. @throws HoldfastError REPOSITORY_DAMAGED, STORAGE_*, INTERRUPTED */
  async bytes(root: HexId, signal?: AbortSignal): Promise<number> {
    // Not recursive: a tree may be deeper than the stack. A directory is summed up on its second visit.
    const stack: HexId[] = [root];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      throwIfAborted(signal);
      if (this.#known.has(top)) {
        stack.pop();
        continue;
      }
      const children = await this.#trees.children(top);
      let bytes = 0;
      for (const { subtree, content } of children) {
        bytes += content?.sizeBytes ?? 0;
        if (subtree === undefined) continue;
        const known = this.#known.get(subtree);
        if (known === undefined) stack.push(subtree);
        else bytes += known;
      }
      if (stack.at(-1) === top) this.#known.set(top, bytes);
    }
    return this.#known.get(root) ?? 0;
  }
}
