import { hash } from "node:crypto";
import { programVersion, throwIfAborted } from "../../base/index.ts";
import type { StoredContent } from "../../component/index.ts";
import type { Sealer } from "../crypto/envelope.ts";
import { parseStoredJson, readTwice, storedObject } from "../damage.ts";
import type { LoadedIndex } from "../index/load-index.ts";
import type { BlobLoader } from "../pack/blob-loader.ts";
import type { HexId, Snapshot, TreeChild } from "../repository.ts";
import { decodeSnapshot } from "../snapshot/snapshot-format.ts";
import { encodeTree } from "../tree/tree-format.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import type { LostData } from "./lost-data.ts";
import { PackWriter } from "./pack-writer.ts";
import type { DamagedSnapshot, RepairOptions } from "./repair-types.ts";

/** restic's tag for a repaired snapshot; its member `original` names the one that it took the place of. */
const repairedTag = "repaired";
const maxDescriptionBytes = 64 << 20;

export interface StoredSnapshots {
  readonly readable: readonly Snapshot[];
  readonly undecodable: readonly HexId[];
}

/** Reads every snapshot, twice those that seem damaged. @throws HoldfastError STORAGE_*, INTERRUPTED */
export async function readSnapshots(files: UnpackedFiles, signal: AbortSignal): Promise<StoredSnapshots> {
  const readable: Snapshot[] = [];
  const undecodable: HexId[] = [];
  for (const id of await files.ids("snapshot")) {
    throwIfAborted(signal);
    const snapshot = await readTwice(async () => decodeSnapshot(await files.load("snapshot", id), id));
    if (snapshot === undefined) undecodable.push(id);
    else readable.push(snapshot);
  }
  readable.sort((a, b) => a.time.getTime() - b.time.getTime());
  return { readable, undecodable };
}

export interface ReplaceParts {
  readonly files: UnpackedFiles;
  readonly sealer: Sealer;
  readonly signal: AbortSignal;
  readonly confirm: () => void;
  readonly index: LoadedIndex;
  readonly loader: BlobLoader;
  readonly lost: LostData;
  readonly options: RepairOptions;
}

/**
 * Writes a snapshot of what is left for each damaged one, then removes those. Killed anywhere, each damaged snapshot is
 * there, or the one that took its place, or both. @throws HoldfastError STORAGE_*, REPOSITORY_LOCKED, INTERRUPTED
 */
export async function replaceSnapshots(
  damaged: readonly DamagedSnapshot[],
  all: readonly Snapshot[],
  parts: ReplaceParts,
): Promise<ReadonlyMap<HexId, Snapshot>> {
  const { files, options, confirm } = parts;
  const writer = new PackWriter(files, parts.sealer, parts.signal);
  const rewriter = new TreeRewriter(writer, parts);
  const trees = new Map<HexId, HexId>();
  for (const one of damaged) if (!one.nothingLeft) trees.set(one.snapshot.id, await rewriter.root(one));
  await writer.finish();
  const replacements = new Map<HexId, Snapshot>();
  for (const [at, one] of damaged.entries()) {
    const { id } = one.snapshot;
    const tree = trees.get(id);
    const replacement = tree === undefined ? undefined : await saveRepaired(files, one.snapshot, tree, all);
    if (replacement !== undefined) replacements.set(id, replacement);
    await options.onReplaced?.(one, replacement);
    confirm();
    await files.backend.remove({ type: "snapshot", name: id });
    options.onProgress?.({ step: "snapshots", done: at + 1, total: damaged.length });
  }
  return replacements;
}

/** All that the damaged snapshot says of itself, with the new tree. One that a killed repair left is taken. */
async function saveRepaired(
  files: UnpackedFiles,
  { id, tags }: Snapshot,
  tree: HexId,
  all: readonly Snapshot[],
): Promise<Snapshot> {
  const stored = storedObject(parseStoredJson(await files.load("snapshot", id), `snapshot ${id}`), `snapshot ${id}`);
  const original = stored["original"] ?? id;
  for (const other of all) {
    if (other.id === id || other.tree !== tree || !other.tags.includes(repairedTag)) continue;
    const known = storedObject(parseStoredJson(await files.load("snapshot", other.id), other.id), other.id);
    if (known["original"] === original) return other;
  }
  const json = JSON.stringify({
    ...stored,
    tree,
    tags: tags.includes(repairedTag) ? tags : [...tags, repairedTag],
    original,
    program_version: `holdfast ${programVersion()}`,
  });
  return decodeSnapshot(Buffer.from(json), await files.save("snapshot", json));
}

/** Stores directories without what they lost; each once, however many snapshots share it. */
class TreeRewriter {
  readonly #writer: PackWriter;
  readonly #parts: ReplaceParts;
  readonly #rewritten = new Map<HexId, HexId>();

  constructor(writer: PackWriter, parts: ReplaceParts) {
    this.#writer = writer;
    this.#parts = parts;
  }

  async root(damaged: DamagedSnapshot): Promise<HexId> {
    const { description } = this.#parts.options;
    const children = await this.#remaining(damaged.snapshot.tree);
    const at = children.findIndex(({ name }) => name.toString() === description?.name);
    const child = children[at];
    if (description === undefined || child?.content === undefined) return this.#store(children);
    const current = await this.#read(child.content);
    if (current === undefined) return this.#store(children);
    const amended = description.amend(current, damaged);
    const id = hash("sha256", amended, "buffer");
    if (this.#parts.index.blobs.claim("data", id)) await this.#writer.add("data", id, amended);
    const content = { sizeBytes: amended.length, blobIds: id };
    return this.#store(children.with(at, { ...child, content }));
  }

  async #tree(id: HexId): Promise<HexId> {
    const known = this.#rewritten.get(id);
    if (known !== undefined) return known;
    const rewritten = await this.#store(await this.#remaining(id));
    this.#rewritten.set(id, rewritten);
    return rewritten;
  }

  async #remaining(tree: HexId): Promise<TreeChild[]> {
    throwIfAborted(this.#parts.signal);
    const children: TreeChild[] = [];
    for (const { child, whole } of await this.#parts.lost.remaining(tree)) {
      if (whole || child.subtree === undefined) children.push(child);
      else children.push({ ...child, subtree: await this.#tree(child.subtree) });
    }
    return children;
  }

  async #store(children: readonly TreeChild[]): Promise<HexId> {
    const tree = encodeTree(children);
    const id = hash("sha256", tree, "buffer");
    if (this.#parts.index.blobs.claim("tree", id)) await this.#writer.add("tree", id, tree);
    return id.toString("hex");
  }

  /** Undefined for what is too large to be a description, or whose data turns out to be damaged. */
  async #read({ sizeBytes, blobIds }: StoredContent): Promise<Buffer | undefined> {
    if (sizeBytes > maxDescriptionBytes) return undefined;
    return readTwice(async () => {
      const pieces: Buffer[] = [];
      for (let at = 0; at < blobIds.length; at += 32) {
        const id = Buffer.from(blobIds.subarray(at, at + 32)).toString("hex");
        pieces.push(await this.#parts.loader.load("data", id));
      }
      return Buffer.concat(pieces);
    });
  }
}
