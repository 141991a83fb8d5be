import { isDamage } from "../damage.ts";
import type { BlobLoader } from "../pack/blob-loader.ts";
import type { BlobType } from "../pack/pack-format.ts";
import type { AffectedSnapshot, HexId, Snapshot, TreeChild } from "../repository.ts";
import { FaultTracer, type TreeFaults } from "../tree/fault-tracer.ts";
import { TreeReader } from "../tree/tree-reader.ts";
import type { CheckedIndex } from "./check-index.ts";
import { type Findings, fileKey } from "./findings.ts";

/** Of so many snapshots, the newest, a finding names paths, and so many of each. */
const namedSnapshots = 10;
const namedPaths = 10;
/** Of so many findings. A repository with more has lost a disk, not a sector. */
const namedFindings = 100;

/** Whom a finding concerns. */
export interface Affected {
  readonly snapshots: HexId[];
  readonly affected: AffectedSnapshot[];
}

/** Which snapshots refer to what was found damaged, and by which paths; by the number of the finding. */
export async function affectedSnapshots(
  snapshots: readonly Snapshot[],
  index: CheckedIndex,
  loader: BlobLoader,
  findings: Findings,
  signal?: AbortSignal,
): Promise<ReadonlyMap<number, Affected>> {
  const all = new Map<number, Affected>();
  if (!findings.hasDamagedParts) return all;
  const tracer = new FaultTracer(new FoundDamage(index, loader, findings));
  for (const snapshot of snapshots.toSorted((a, b) => b.time.getTime() - a.time.getTime())) {
    for (const [number, pathsTotal] of await tracer.below(snapshot.tree, signal)) {
      const known = all.get(number) ?? { snapshots: [], affected: [] };
      if (!all.has(number)) all.set(number, known);
      known.snapshots.push(snapshot.id);
      if (known.affected.length >= namedSnapshots || all.size > namedFindings) continue;
      const paths = await tracer.places(snapshot.tree, number, namedPaths);
      known.affected.push({ snapshot, paths, pathsTotal });
    }
  }
  return all;
}

/** The findings about each directory and file. */
class FoundDamage implements TreeFaults {
  readonly #index: CheckedIndex;
  readonly #trees: TreeReader;
  readonly #findings: Findings;

  constructor(index: CheckedIndex, loader: BlobLoader, findings: Findings) {
    this.#index = index;
    this.#trees = new TreeReader(loader);
    this.#findings = findings;
  }

  async children(tree: HexId): Promise<readonly TreeChild[]> {
    try {
      return await this.#trees.children(tree);
    } catch (error) {
      // It has been found already; what is below it cannot be known.
      if (isDamage(error)) return [];
      throw error;
    }
  }

  ofTree(tree: HexId): readonly number[] {
    return this.#about("tree", tree);
  }

  ofFile(tree: HexId, { name, content }: TreeChild): readonly number[] {
    if (content === undefined) return [];
    const numbers = new Set(this.#findings.about({ kind: "file", id: fileKey(tree, name) }));
    const { blobIds } = content;
    for (let at = 0; at < blobIds.length; at += 32) {
      const id = Buffer.from(blobIds.subarray(at, at + 32)).toString("hex");
      for (const number of this.#about("data", id)) numbers.add(number);
    }
    return Array.from(numbers);
  }

  #about(type: BlobType, id: HexId): readonly number[] {
    const own = this.#findings.about({ kind: type, id });
    const location = this.#index.blobs.locate(type, Buffer.from(id, "hex"));
    const pack = location === undefined ? undefined : this.#index.packs[location.pack];
    if (pack === undefined) return own;
    return [...own, ...this.#findings.about({ kind: "pack", id: pack })];
  }
}
