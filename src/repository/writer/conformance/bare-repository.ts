import { createCipheriv, createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Entry, type EntryMetadata, generatedMetadata, type StoredContent } from "../../../component/index.ts";
import type { Backend } from "../../../storage/index.ts";
import { type ContentReaderParts, createContentReader } from "../../content/create-content-reader.ts";
import { Sealer } from "../../crypto/envelope.ts";
import { decodeIndex, type IndexedPack } from "../../index/index-file.ts";
import { loadIndex } from "../../index/load-index.ts";
import { BlobLoader } from "../../pack/blob-loader.ts";
import type { RepositoryWriter, Snapshot } from "../../repository.ts";
import { decodeSnapshot } from "../../snapshot/snapshot-format.ts";
import { TreeReader } from "../../tree/tree-reader.ts";
import { UnpackedFiles } from "../../unpacked-files.ts";
import type { WorkerPool } from "../../workers/worker-pool.ts";
import { createWriter } from "../create-writer.ts";

export const testKey = { encrypt: Buffer.alloc(32, 5), macK: Buffer.alloc(16, 6), macR: Buffer.alloc(16, 7) };

/** A repository without key files, config and locks, for tests of the writer and the reader alone. */
export class BareRepository {
  readonly backend: Backend;
  readonly pool: WorkerPool;
  readonly files: UnpackedFiles;

  constructor(backend: Backend, pool: WorkerPool) {
    this.backend = backend;
    this.pool = pool;
    this.files = new UnpackedFiles(backend, new Sealer(testKey));
  }

  async writer(
    options: { readonly signal?: AbortSignal; readonly packBytes?: number } = {},
  ): Promise<RepositoryWriter> {
    const { files, pool } = this;
    const index = await loadIndex(files);
    return createWriter({
      files,
      key: testKey,
      pool,
      index,
      programVersion: "test 1",
      release: async () => undefined,
      ...options,
    });
  }

  async reader(): ReturnType<typeof createContentReader> {
    const { backend, pool } = this;
    const parts: ContentReaderParts = { backend, key: testKey, pool, index: await loadIndex(this.files) };
    return createContentReader(parts);
  }

  async trees(): Promise<TreeReader> {
    return new TreeReader(new BlobLoader(this.backend, new Sealer(testKey), await loadIndex(this.files)));
  }

  async snapshots(): Promise<Snapshot[]> {
    const ids = await this.files.ids("snapshot");
    return Promise.all(ids.map(async (id) => decodeSnapshot(await this.files.load("snapshot", id), id)));
  }

  /** Every pack that an index file names; a pack named twice comes twice. */
  async indexedPacks(): Promise<IndexedPack[]> {
    const packs: IndexedPack[] = [];
    for (const id of await this.files.ids("index")) {
      packs.push(...decodeIndex(await this.files.load("index", id), `index ${id}`));
    }
    return packs;
  }
}

/** A folder of its own for one test; removed with `await using`. */
export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "holdfast-repository-"));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true });
    },
  };
}

const at = new Date("2026-01-02T03:04:05Z");

export const fileMetadata: EntryMetadata = generatedMetadata("file", at);

export function directoryEntry(path: string): Entry {
  return { path: Buffer.from(path), metadata: generatedMetadata("dir", at) };
}

export function storedEntry(path: string, content: StoredContent): Entry {
  return { path: Buffer.from(path), metadata: fileMetadata, content: { kind: "stored", content } };
}

export function localEntry(path: string, file: string): Entry {
  return { path: Buffer.from(path), metadata: fileMetadata, content: { kind: "file", path: Buffer.from(file) } };
}

export function streamEntry(path: string, pieces: () => Iterable<Uint8Array>): Entry {
  return {
    path: Buffer.from(path),
    metadata: fileMetadata,
    content: { kind: "stream", open: () => streamOf(pieces()) },
  };
}

export async function* streamOf<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

/** Bytes without structure that are the same for the same seed. */
export function noise(length: number, seed: number): Buffer {
  const key = createHash("sha256").update(`noise ${seed}`).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** The snapshot's fields that no test cares about. */
export function snapshotOf(tree: string): Parameters<RepositoryWriter["saveSnapshot"]>[0] {
  return { time: at, tree, paths: ["/"], hostname: "test", tags: ["holdfast"] };
}
