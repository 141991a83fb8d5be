import { throwIfAborted } from "../../base/index.ts";
import { isDamage } from "../damage.ts";
import type { BlobLoader } from "../pack/blob-loader.ts";
import type { BlobType } from "../pack/pack-format.ts";
import type { HexId, Snapshot, TreeChild } from "../repository.ts";
import { decodeTree } from "../tree/decode-tree.ts";
import type { CheckedIndex } from "./check-index.ts";
import type { Findings } from "./findings.ts";

const none: ReadonlySet<number> = new Set();

/** Which snapshots refer to what was found damaged: their ids by the number of the finding. */
export async function affectedSnapshots(
  snapshots: readonly Snapshot[],
  index: CheckedIndex,
  loader: BlobLoader,
  findings: Findings,
  signal?: AbortSignal,
): Promise<ReadonlyMap<number, readonly HexId[]>> {
  const affected = new Map<number, HexId[]>();
  if (!findings.hasDamagedParts) return affected;
  const tracer = new DamageTracer(index, loader, findings);
  for (const snapshot of snapshots) {
    for (const number of await tracer.below(snapshot.tree, signal)) {
      const known = affected.get(number);
      if (known === undefined) affected.set(number, [snapshot.id]);
      else known.push(snapshot.id);
    }
  }
  return affected;
}

/** The findings that concern a directory and everything below it; each tree is read once or twice. */
class DamageTracer {
  readonly #index: CheckedIndex;
  readonly #loader: BlobLoader;
  readonly #findings: Findings;
  readonly #known = new Map<HexId, ReadonlySet<number>>();

  constructor(index: CheckedIndex, loader: BlobLoader, findings: Findings) {
    this.#index = index;
    this.#loader = loader;
    this.#findings = findings;
  }

  async below(root: HexId, signal?: AbortSignal): Promise<ReadonlySet<number>> {
    const stack: HexId[] = [root];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      throwIfAborted(signal);
      if (this.#known.has(top)) {
        stack.pop();
        continue;
      }
      const numbers = new Set(this.#about("tree", top));
      for (const { subtree, content } of await this.#children(top)) {
        if (content !== undefined) for (const number of this.#aboutContent(content.blobIds)) numbers.add(number);
        if (subtree === undefined) continue;
        const known = this.#known.get(subtree);
        if (known === undefined) stack.push(subtree);
        else for (const number of known) numbers.add(number);
      }
      if (stack.at(-1) === top) this.#known.set(top, numbers.size === 0 ? none : numbers);
    }
    return this.#known.get(root) ?? none;
  }

  async #children(id: HexId): Promise<readonly TreeChild[]> {
    try {
      return decodeTree(await this.#loader.load("tree", id), `tree ${id}`);
    } catch (error) {
      // It has been found already; what is below it cannot be known.
      if (isDamage(error)) return [];
      throw error;
    }
  }

  #aboutContent(blobIds: Uint8Array): number[] {
    const numbers: number[] = [];
    for (let at = 0; at < blobIds.length; at += 32) {
      numbers.push(...this.#about("data", Buffer.from(blobIds.subarray(at, at + 32)).toString("hex")));
    }
    return numbers;
  }

  #about(type: BlobType, id: HexId): readonly number[] {
    const own = this.#findings.about({ kind: type, id });
    const location = this.#index.blobs.locate(type, Buffer.from(id, "hex"));
    const pack = location === undefined ? undefined : this.#index.packs[location.pack];
    if (pack === undefined) return own;
    return [...own, ...this.#findings.about({ kind: "pack", id: pack })];
  }
}
