import { createHash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { generatedMetadata } from "../../../src/component/index.ts";
import { Sealer } from "../../../src/repository/crypto/envelope.ts";
import { findMasterKey } from "../../../src/repository/crypto/key-list.ts";
import { encodeIndex } from "../../../src/repository/index/index-file.ts";
import type { Snapshot, TreeChild } from "../../../src/repository/index.ts";
import { encodePackHeader, type PackBlob } from "../../../src/repository/pack/pack-format.ts";
import { decodeSnapshot, encodeSnapshot } from "../../../src/repository/snapshot/snapshot-format.ts";
import { encodeTree } from "../../../src/repository/tree/tree-format.ts";
import { UnpackedFiles } from "../../../src/repository/unpacked-files.ts";
import { type Backend, MemoryBackend } from "../../../src/storage/index.ts";
import { makeRepository, password } from "./stored-backups.ts";

const at = new Date("2026-01-02T03:04:05Z");
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Forges a repository as somebody who has its key can: everything is encrypted and named as it should be. */
export class HostileRepository {
  readonly backend: Backend;
  readonly files: UnpackedFiles;
  readonly #sealer: Sealer;
  readonly #parts: Buffer[] = [];
  readonly #blobs: PackBlob[] = [];
  #size = 0;

  private constructor(backend: Backend, sealer: Sealer) {
    this.backend = backend;
    this.#sealer = sealer;
    this.files = new UnpackedFiles(backend, sealer);
  }

  static async make(): Promise<HostileRepository> {
    const backend = new MemoryBackend();
    await makeRepository(backend);
    return new HostileRepository(backend, new Sealer(await findMasterKey(backend, password)));
  }

  /** Puts a blob into the pack under any id, and into the index as `forge` makes it. */
  add(type: "data" | "tree", bytes: Buffer, options: { id?: string; compress?: boolean; claim?: number } = {}): string {
    const { id = sha256(bytes), compress = false, claim = bytes.length } = options;
    const sealed = this.#sealer.seal(compress ? zstdCompressSync(bytes) : bytes);
    const uncompressedLength = compress ? claim : 0;
    const [offset, length] = [this.#size, sealed.length];
    this.#blobs.push({ type, id: Buffer.from(id, "hex"), offset, length, uncompressedLength });
    this.#parts.push(sealed);
    this.#size += length;
    return id;
  }

  /** A tree of any JSON. */
  addTree(nodes: readonly unknown[]): string {
    return this.add("tree", Buffer.from(JSON.stringify({ nodes })));
  }

  /** Saves pack, index and snapshot. `forge` changes what the index says of each blob. */
  async finish(tree: string, forge: (blob: PackBlob) => PackBlob = (blob) => blob): Promise<Snapshot> {
    const header = this.#sealer.seal(encodePackHeader(this.#blobs));
    const trailer = Buffer.alloc(4);
    trailer.writeUInt32LE(header.length);
    const pack = Buffer.concat([...this.#parts, header, trailer]);
    await this.backend.save({ type: "data", name: sha256(pack) }, pack);
    await this.files.save("index", encodeIndex([{ id: sha256(pack), blobs: this.#blobs.map(forge) }]));
    const json = encodeSnapshot({ time: at, tree, paths: ["/"], hostname: "h", tags: [] });
    const id = await this.files.save("snapshot", json);
    return decodeSnapshot(Buffer.from(json), id);
  }
}

/** A node as a tree's JSON has it, under any name. */
export function nodeOf(name: string, child: Pick<TreeChild, "subtree" | "content">, type = "file"): object {
  const named = {
    ...child,
    name: Buffer.from("x"),
    metadata: { ...generatedMetadata("file", at), type: type as "file" },
    ...(type === "symlink"
      ? { metadata: { ...generatedMetadata("file", at), type, linkTarget: Buffer.from(name) } }
      : {}),
  } as TreeChild;
  const text = encodeTree([named]).toString();
  const [node] = (JSON.parse(text) as { nodes: object[] }).nodes;
  return { ...node, name };
}

/** A file of these blobs. */
export function contentOf(sizeBytes: number, ...ids: readonly string[]): Pick<TreeChild, "content"> {
  return { content: { sizeBytes, blobIds: Buffer.from(ids.join(""), "hex") } };
}
