import { throwIfAborted } from "../../base/index.ts";
import { envelopeOverhead } from "../crypto/envelope.ts";
import { damaged } from "../damage.ts";
import type { BlobIndex, BlobLocation } from "../index/blob-index.ts";
import { type BlobType, packEntryBytes } from "../pack/pack-format.ts";
import type { HexId, Snapshot, SnapshotSizes, TreeChild } from "../repository.ts";
import { Presence } from "./presence.ts";

/** Loads trees; each may be told beforehand. */
export interface StatsTrees {
  children(id: HexId): Promise<readonly TreeChild[]>;
  prefetch(id: HexId): void;
  release(id: HexId): void;
}

/** A tree of the snapshot that is being looked at, as long as it is part of it. */
interface PresentTree {
  /** Entries of what it names, trees too; what it names twice stands there twice. */
  readonly entries: Uint32Array;
  /** Bytes of all files at and below it. */
  readonly rawBytes: number;
}

interface OpenTree {
  readonly entry: number;
  readonly id: HexId;
  readonly children: readonly TreeChild[];
  readonly entries: number[];
  rawBytes: number;
  at: number;
}

const ahead = 8;

export interface SizesOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Measures snapshots one after the other, those of one origin in a row: of each only what the one before did not have is
 * read, and of the one before only what this has not is dropped. Memory: 12 bytes for each blob of the repository, and the
 * directories of one snapshot. @throws HoldfastError REPOSITORY_DAMAGED, STORAGE_*, INTERRUPTED
 */
export async function measureSnapshots(
  snapshots: readonly Snapshot[],
  blobs: BlobIndex,
  trees: StatsTrees,
  options: SizesOptions = {},
): Promise<{ readonly sizes: readonly SnapshotSizes[]; readonly used: UsedBytes }> {
  return new SizesRun(snapshots, blobs, trees, options).run();
}

/** Of all blobs that any snapshot needs. */
export interface UsedBytes {
  readonly stored: number;
  readonly uncompressed: number;
  /** Of `uncompressed`, without directories. */
  readonly data: number;
}

class SizesRun {
  /** Oldest first; a snapshot's place in it is its rank. */
  readonly #snapshots: readonly Snapshot[];
  readonly #blobs: BlobIndex;
  readonly #trees: StatsTrees;
  readonly #options: SizesOptions;
  /** How many trees of the current snapshot, or the snapshot itself, name each entry. */
  readonly #references: Uint32Array;
  readonly #presence: Presence;
  readonly #present = new Map<number, PresentTree>();
  #storedBytes = 0;
  #place = 0;
  #rank = 0;

  constructor(snapshots: readonly Snapshot[], blobs: BlobIndex, trees: StatsTrees, options: SizesOptions) {
    this.#snapshots = snapshots;
    this.#blobs = blobs;
    this.#trees = trees;
    this.#options = options;
    this.#references = new Uint32Array(blobs.size + 1);
    this.#presence = new Presence(blobs.size);
  }

  async run(): Promise<{ sizes: SnapshotSizes[]; used: UsedBytes }> {
    const ranks = byOrigin(this.#snapshots);
    const raw = new Float64Array(ranks.length);
    const stored = new Float64Array(ranks.length);
    let before: number | undefined;
    for (const [place, rank] of ranks.entries()) {
      // The first of another row: what stays would not come with the time that it has there.
      if (before !== undefined && rank < this.#rank) {
        this.#place = place;
        this.#go(before);
        before = undefined;
      }
      [this.#place, this.#rank] = [place, rank];
      const { tree } = this.#snapshots[rank] as Snapshot;
      const root = this.#entryOf("tree", Buffer.from(tree, "hex"));
      // First what comes, then what goes: so what stays is not even looked at.
      if (this.#come(root)) await this.#read(root, tree);
      if (before !== undefined) this.#go(before);
      before = root;
      raw[rank] = this.#present.get(root)?.rawBytes ?? 0;
      stored[rank] = this.#storedBytes;
      this.#options.onProgress?.(place + 1, ranks.length);
    }
    this.#place = ranks.length;
    if (before !== undefined) this.#go(before);
    const { unique, added, used } = this.#totals(ranks);
    const sizes = this.#snapshots.map((snapshot, rank) => ({
      snapshot,
      bytes: raw[rank] as number,
      bytesStored: stored[rank] as number,
      bytesUnique: unique[rank] as number,
      bytesNew: added[rank] as number,
    }));
    return { sizes, used };
  }

  #totals(ranks: readonly number[]): { unique: Float64Array; added: Float64Array; used: UsedBytes } {
    const unique = new Float64Array(ranks.length);
    const added = new Float64Array(ranks.length);
    const used = { stored: 0, uncompressed: 0, data: 0 };
    for (let entry = 1; entry <= this.#blobs.size; entry += 1) {
      const rank = this.#presence.firstIn(entry);
      if (rank === undefined) continue;
      const bytes = this.#storedSize(entry);
      added[rank] = (added[rank] as number) + bytes;
      const only = ranks[this.#presence.onlyIn(entry) ?? -1];
      if (only !== undefined) unique[only] = (unique[only] as number) + bytes;
      const plain = plainBytesOf(this.#blobs.locationOf(entry));
      used.stored += bytes;
      used.uncompressed += plain;
      if (!this.#blobs.isTree(entry)) used.data += plain;
    }
    return { unique, added, used };
  }

  /** One more names the entry; true if it is new in this snapshot. */
  #come(entry: number): boolean {
    const references = this.#references[entry] as number;
    this.#references[entry] = references + 1;
    if (references > 0) return false;
    this.#presence.comes(entry, this.#place, this.#rank);
    this.#storedBytes += this.#storedSize(entry);
    return true;
  }

  /** Reads a tree that came, and all below it that came with it. */
  async #read(root: number, rootId: HexId): Promise<void> {
    const stack = [await this.#open(root, rootId)];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      throwIfAborted(this.#options.signal);
      const child = top.children[top.at];
      if (child === undefined) {
        stack.pop();
        this.#present.set(top.entry, { entries: Uint32Array.from(top.entries), rawBytes: top.rawBytes });
        this.#trees.release(top.id);
        const above = stack.at(-1);
        if (above !== undefined) above.rawBytes += top.rawBytes;
        continue;
      }
      top.at += 1;
      const { content, subtree } = child;
      if (content !== undefined) this.#comeContent(content.blobIds, top.entries);
      top.rawBytes += content?.sizeBytes ?? 0;
      if (subtree === undefined) continue;
      const entry = this.#entryOf("tree", Buffer.from(subtree, "hex"));
      top.entries.push(entry);
      if (this.#come(entry)) stack.push(await this.#open(entry, subtree));
      else top.rawBytes += this.#present.get(entry)?.rawBytes ?? 0;
    }
  }

  async #open(entry: number, id: HexId): Promise<OpenTree> {
    const children = await this.#trees.children(id);
    let loading = 0;
    for (const { subtree } of children) {
      if (subtree === undefined || loading >= ahead) continue;
      if ((this.#references[this.#entryOf("tree", Buffer.from(subtree, "hex"))] as number) > 0) continue;
      this.#trees.prefetch(subtree);
      loading += 1;
    }
    return { entry, id, children, entries: [], rawBytes: 0, at: 0 };
  }

  #comeContent(blobIds: Uint8Array, entries: number[]): void {
    for (let at = 0; at < blobIds.length; at += 32) {
      const entry = this.#entryOf("data", blobIds.subarray(at, at + 32));
      entries.push(entry);
      this.#come(entry);
    }
  }

  /** One less names the entry; with the last one it goes, and what only it names. */
  #go(root: number): void {
    const waiting = [root];
    for (let entry = waiting.pop(); entry !== undefined; entry = waiting.pop()) {
      const references = (this.#references[entry] as number) - 1;
      this.#references[entry] = references;
      if (references > 0) continue;
      this.#presence.goes(entry, this.#place);
      this.#storedBytes -= this.#storedSize(entry);
      const tree = this.#present.get(entry);
      if (tree === undefined) continue;
      this.#present.delete(entry);
      for (const below of tree.entries) waiting.push(below);
    }
  }

  #entryOf(type: BlobType, id: Uint8Array): number {
    const entry = this.#blobs.entryOf(type, id);
    if (entry > 0) return entry;
    const blob = Buffer.from(id).toString("hex");
    throw damaged(`The ${type} blob ${blob}, which a snapshot needs, is in no index.`, { blob });
  }

  /** With its line in the pack's header. */
  #storedSize(entry: number): number {
    const location = this.#blobs.locationOf(entry);
    return location === undefined ? 0 : location.length + packEntryBytes(location);
  }
}

function plainBytesOf(location: BlobLocation | undefined): number {
  if (location === undefined) return 0;
  return location.uncompressedLength > 0 ? location.uncompressedLength : location.length - envelopeOverhead;
}

/**
 * Ranks (places among all) in the order in which snapshots have most in common: those of one origin in a row, each row by
 * time.
 */
function byOrigin(snapshots: readonly Snapshot[]): number[] {
  const rows = new Map<string, number[]>();
  for (const [rank, { hostname, paths }] of snapshots.entries()) {
    const origin = JSON.stringify([hostname, paths]);
    const row = rows.get(origin);
    if (row === undefined) rows.set(origin, [rank]);
    else row.push(rank);
  }
  return Array.from(rows.values()).flat();
}
