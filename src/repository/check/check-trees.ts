import { throwIfAborted } from "../../base/index.ts";
import { envelopeOverhead } from "../crypto/envelope.ts";
import { isDamage } from "../damage.ts";
import { BlobIndex } from "../index/blob-index.ts";
import type { BlobLoader } from "../pack/blob-loader.ts";
import type { HexId, Snapshot, TreeChild } from "../repository.ts";
import { decodeTree } from "../tree/decode-tree.ts";
import { goQuote } from "../tree/go-text.ts";
import type { CheckedIndex } from "./check-index.ts";
import { fileKey, type Findings } from "./findings.ts";

const loadedAtOnce = 8;

/** Loads every tree that a snapshot refers to, once, and looks up every blob of every file. */
export async function checkTrees(
  snapshots: readonly Snapshot[],
  index: CheckedIndex,
  loader: BlobLoader,
  findings: Findings,
  signal?: AbortSignal,
): Promise<void> {
  // As a set: 32 bytes an id instead of some hundred.
  const seenTrees = new BlobIndex();
  const lost = new Set<HexId>();
  const waiting: HexId[] = [];
  const visit = (id: HexId): void => {
    if (seenTrees.claim("tree", Buffer.from(id, "hex"))) waiting.push(id);
  };
  const check = async (id: HexId): Promise<void> => {
    const children = await loadTree(id, index, loader, findings);
    for (const child of children) {
      const { subtree, content } = child;
      if (subtree !== undefined) visit(subtree);
      if (content === undefined) continue;
      checkContent(content.blobIds, index, lost, findings);
      checkSize(id, child, index, findings);
    }
  };
  for (const { tree } of snapshots) visit(tree);
  while (waiting.length > 0) {
    throwIfAborted(signal);
    // From the end: depth first keeps the list of what is waiting short.
    await Promise.all(waiting.splice(-loadedAtOnce).map(check));
  }
}

async function loadTree(
  id: HexId,
  index: CheckedIndex,
  loader: BlobLoader,
  findings: Findings,
): Promise<readonly TreeChild[]> {
  const part = { kind: "tree", id } as const;
  if (!index.blobs.has("tree", Buffer.from(id, "hex"))) {
    findings.error("tree-missing", `The tree ${id} is in no index.`, { part });
    return [];
  }
  try {
    return decodeTree(await loader.load("tree", id), `tree ${id}`);
  } catch (error) {
    if (!isDamage(error)) throw error;
    findings.error("tree-damaged", error.message, { part });
    return [];
  }
}

function checkContent(blobIds: Uint8Array, index: CheckedIndex, lost: Set<HexId>, findings: Findings): void {
  for (let at = 0; at < blobIds.length; at += 32) {
    const id = blobIds.subarray(at, at + 32);
    if (index.blobs.has("data", id)) continue;
    const hexId = Buffer.from(id).toString("hex");
    if (lost.has(hexId)) continue;
    lost.add(hexId);
    findings.error("blob-missing", `The data blob ${hexId} is in no index.`, { part: { kind: "data", id: hexId } });
  }
}

/** A restore refuses a file whose blobs are longer or shorter than it is said to be. */
function checkSize(tree: HexId, { name, content }: TreeChild, index: CheckedIndex, findings: Findings): void {
  if (content === undefined) return;
  const { sizeBytes, blobIds } = content;
  let found = 0;
  for (let at = 0; at < blobIds.length; at += 32) {
    const blob = index.blobs.locate("data", blobIds.subarray(at, at + 32));
    // Missing: that is found already.
    if (blob === undefined) return;
    found += blob.uncompressedLength > 0 ? blob.uncompressedLength : blob.length - envelopeOverhead;
  }
  if (found === sizeBytes) return;
  findings.error(
    "file-size",
    `The file "${goQuote(name)}" of the tree ${tree} has ${sizeBytes} bytes, its blobs ${found}.`,
    {
      part: { kind: "file", id: fileKey(tree, name) },
    },
  );
}
