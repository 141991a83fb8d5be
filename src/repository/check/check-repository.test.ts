import { beforeAll, describe, expect, it } from "vitest";
import { type Entry, generatedDirectory, generatedFile } from "../../component/index.ts";
import { type FileHandle, type FileType, MemoryBackend } from "../../storage/index.ts";
import { Sealer } from "../crypto/envelope.ts";
import { findMasterKey } from "../crypto/key-list.ts";
import { encodeIndex, type IndexedPack } from "../index/index-file.ts";
import { eachIndexedPack } from "../index/load-index.ts";
import { createRepository, openRepository } from "../open.ts";
import type { CheckFinding, Snapshot } from "../repository.ts";
import { UnpackedFiles } from "../unpacked-files.ts";
import { choosePacks, type PackVerifier } from "./check-data.ts";
import { checkPack } from "./check-pack.ts";
import { checkRepository } from "./check-repository.ts";
import { MemoryReadHistory } from "./read-history.ts";

const password = "p";
const at = new Date("2026-01-01T00:00:00Z");
const withoutKeys: readonly FileType[] = ["data", "index", "snapshot"];
const types: readonly FileType[] = ["key", ...withoutKeys];

/** Two snapshots: both have `shared`, each has a file of its own. */
let original: MemoryBackend;
let first: Snapshot;
let second: Snapshot;
let files: UnpackedFiles;
let sealer: Sealer;

async function* entries(own: string): AsyncGenerator<Entry> {
  yield generatedDirectory("", at);
  yield generatedFile(own, at, async function* open() {
    yield Buffer.from(`the file ${own}`);
  });
  yield generatedDirectory("shared", at);
  yield generatedFile("shared/file", at, async function* open() {
    yield Buffer.alloc(100_000, "shared");
  });
}

async function backUp(backend: MemoryBackend, own: string): Promise<Snapshot> {
  const repository = await openRepository(backend, { password, workers: 1 });
  const writer = await repository.writer();
  const { id: tree } = await writer.storeTree(entries(own));
  const snapshot = await writer.saveSnapshot({ time: at, tree, paths: ["/"], hostname: "h", tags: [] });
  await writer.close();
  await repository.close();
  return snapshot;
}

beforeAll(async () => {
  original = new MemoryBackend();
  await createRepository(original, { password });
  first = await backUp(original, "first");
  second = await backUp(original, "second");
  sealer = new Sealer(await findMasterKey(original, password));
  files = new UnpackedFiles(original, sealer);
});

async function handlesOf(backend: MemoryBackend, type: FileType): Promise<FileHandle[]> {
  const handles: FileHandle[] = [];
  for await (const { name } of backend.list(type)) handles.push({ type, name });
  return handles;
}

async function copy(): Promise<MemoryBackend> {
  const backend = new MemoryBackend();
  const handles = [{ type: "config", name: "config" } as const];
  for (const handle of [...handles, ...(await Promise.all(types.map((type) => handlesOf(original, type)))).flat()]) {
    await backend.save(handle, await original.load(handle));
  }
  return backend;
}

async function change(backend: MemoryBackend, handle: FileHandle, alter: (bytes: Buffer) => Buffer): Promise<void> {
  const bytes = await backend.load(handle);
  await backend.remove(handle);
  await backend.save(handle, alter(bytes));
}

const flip =
  (position: number) =>
  (bytes: Buffer): Buffer => {
    bytes[position] = (bytes[position] as number) ^ 0x10;
    return bytes;
  };

const verifier: PackVerifier = {
  parallel: 2,
  verify: async (id, bytes, fingerprint) => checkPack(sealer, id, bytes, fingerprint),
};

async function check(backend: MemoryBackend, readDataRatio = 0): Promise<readonly CheckFinding[]> {
  return (
    await checkRepository(new UnpackedFiles(backend, sealer), sealer, verifier, new MemoryReadHistory(), {
      readDataRatio,
    })
  ).findings;
}

async function packsOf(): Promise<IndexedPack[]> {
  const packs: IndexedPack[] = [];
  await eachIndexedPack(files, (pack) => packs.push(pack));
  return packs;
}

const isOf = (type: "data" | "tree") => (pack: IndexedPack) => pack.blobs[0]?.type === type;

describe("check", () => {
  it("finds nothing in a sound repository and says what it saw", async () => {
    const repository = await openRepository(original, { password, workers: 1 });
    const seen: number[] = [];
    const report = await repository.check({ readDataRatio: 1, onProgress: (done, total) => seen.push(done / total) });
    expect(report.findings).toEqual([]);
    const stats = await repository.stats();
    expect(report).toMatchObject({
      snapshots: 2,
      packs: stats.packs,
      blobs: stats.blobs,
      bytesRead: stats.bytesStored,
    });
    expect(stats.bytesInSnapshots).toBe(2 * 100_000 + "the file first".length + "the file second".length);
    expect(seen.at(-1)).toBe(1);
    await repository.close();
  });

  it("finds a flipped bit anywhere in a file, and names the file", async () => {
    for (const handle of (await Promise.all(withoutKeys.map((type) => handlesOf(original, type)))).flat()) {
      const size = (await original.load(handle)).length;
      for (const position of [0, 17, Math.floor(size / 2), size - 5, size - 1]) {
        const backend = await copy();
        await change(backend, handle, flip(position));
        const findings = await check(backend, 1);
        expect(findings.map(({ message }) => message).join()).toContain(handle.name);
        expect(findings.some(({ severity }) => severity === "error")).toBe(true);
      }
    }
  });

  it("finds every file that was cut off", async () => {
    for (const handle of (await Promise.all(withoutKeys.map((type) => handlesOf(original, type)))).flat()) {
      for (const size of [0, 1, 40]) {
        const backend = await copy();
        await change(backend, handle, (bytes) => bytes.subarray(0, size));
        expect((await check(backend, 1)).map(({ message }) => message).join()).toContain(handle.name);
      }
    }
  });

  it("finds a file that is sound but stands under another's name", async () => {
    for (const type of ["snapshot", "index"] as const) {
      const backend = await copy();
      const [handle] = await handlesOf(backend, type);
      const name = "ef".repeat(32);
      await backend.save({ type, name }, await backend.load(handle as FileHandle));
      const [finding] = await check(backend);
      expect(finding).toMatchObject({ severity: "error", kind: `${type}-undecodable` });
      expect(finding?.message).toContain(name);
    }
  });

  it("refuses a damaged config and a damaged key by name", async () => {
    const backend = await copy();
    await change(backend, { type: "config", name: "config" }, flip(20));
    await expect(openRepository(backend, { password })).rejects.toMatchObject({
      code: "REPOSITORY_DAMAGED",
      message: expect.stringContaining("config"),
    });
    const other = await copy();
    const [key] = await handlesOf(other, "key");
    await change(other, key as FileHandle, flip(3));
    await expect(openRepository(other, { password })).rejects.toMatchObject({
      code: "REPOSITORY_DAMAGED",
      message: expect.stringContaining(key?.name ?? "none"),
    });
  });

  it("does not see damaged data without reading it, as restic does not, but does see damaged trees", async () => {
    const packs = await packsOf();
    const dataDamaged = await copy();
    await change(dataDamaged, { type: "data", name: packs.find(isOf("data"))?.id ?? "" }, flip(20));
    expect(await check(dataDamaged)).toEqual([]);
    const treeDamaged = await copy();
    await change(treeDamaged, { type: "data", name: packs.find(isOf("tree"))?.id ?? "" }, flip(20));
    expect((await check(treeDamaged)).map(({ kind }) => kind)).toEqual(["tree-damaged"]);
  });

  it("names exactly the snapshots that damage concerns", async () => {
    const packs = await packsOf();
    const dataPacks = packs.filter(isOf("data"));
    const both: (readonly string[] | undefined)[] = [];
    const paths: (readonly (readonly [string, readonly string[], number])[] | undefined)[] = [];
    for (const { id } of dataPacks) {
      const backend = await copy();
      await backend.remove({ type: "data", name: id });
      const [finding, ...more] = await check(backend, 1);
      expect(more).toEqual([]);
      expect(finding).toMatchObject({ severity: "error", kind: "pack-missing" });
      both.push(finding?.snapshots?.toSorted());
      paths.push(finding?.affected?.map((one) => [one.snapshot.id, one.paths, one.pathsTotal] as const));
    }
    expect(paths).toContainEqual([[second.id, ["/second"], 1]]);
    expect(paths.find((found) => found?.length === 2)).toEqual(
      expect.arrayContaining([
        [first.id, ["/first", "/shared/file"], 2],
        [second.id, ["/shared/file"], 1],
      ]),
    );
    expect(both).toContainEqual([first.id, second.id].sort());
    expect(both).toContainEqual([second.id]);
  });

  it("reports what an undecodable index hides, and for which snapshots", async () => {
    const backend = await copy();
    for (const handle of await handlesOf(backend, "index")) await change(backend, handle, flip(30));
    const findings = await check(backend);
    expect(findings.filter(({ kind }) => kind === "index-undecodable")).toHaveLength(2);
    expect(findings.filter(({ kind }) => kind === "pack-orphaned").length).toBeGreaterThan(1);
    const lost = findings.filter(({ kind }) => kind === "tree-missing").map(({ snapshots }) => snapshots);
    expect(lost).toHaveLength(2);
    expect(lost.flat()).toEqual(expect.arrayContaining([first.id, second.id]));
  });

  it("calls leftovers of an interrupted backup a hint", async () => {
    const backend = await copy();
    const [{ id: pack } = { id: "" }] = await packsOf();
    await backend.save({ type: "data", name: "ab".repeat(32) }, await backend.load({ type: "data", name: pack }));
    expect(await check(backend, 1)).toMatchObject([{ severity: "hint", kind: "pack-orphaned" }]);
  });

  it("tells an index that repeats another from one that contradicts it", async () => {
    const packs = await packsOf();
    const backend = await copy();
    const target = new UnpackedFiles(backend, sealer);
    await target.save("index", encodeIndex(packs));
    const hints = await check(backend, 1);
    expect(hints).toHaveLength(packs.length);
    expect(hints.every(({ severity, kind }) => severity === "hint" && kind === "pack-indexed-twice")).toBe(true);

    const [pack] = packs as [IndexedPack];
    const conflicting = { id: pack.id, blobs: pack.blobs.map((blob) => ({ ...blob, length: blob.length + 1 })) };
    await target.save("index", encodeIndex([conflicting]));
    expect((await check(backend)).map(({ kind }) => kind)).toContain("index-conflict");
  });

  it("finds an index that lists other blobs than the pack holds", async () => {
    const packs = await packsOf();
    const backend = await copy();
    for (const handle of await handlesOf(backend, "index")) await backend.remove(handle);
    const target = new UnpackedFiles(backend, sealer);
    const swapped = packs.map(({ id, blobs }) => ({
      id,
      blobs: blobs.map((blob) => ({ ...blob, id: Buffer.alloc(32, 1) })),
    }));
    await target.save("index", encodeIndex(swapped));
    const kinds = new Set((await check(backend, 1)).map(({ kind }) => kind));
    expect(kinds).toContain("index-differs");
    expect(kinds).toContain("tree-missing");
  });

  it("reads the share of the packs that it is asked for, never none", () => {
    const packs = Array.from({ length: 10 }, (_, number) => String(number));
    const never = new Map<string, number>();
    expect(choosePacks([...packs], 0.25, never)).toHaveLength(3);
    expect(choosePacks([...packs], 0.001, never)).toHaveLength(1);
    expect(new Set(choosePacks([...packs], 1, never)).size).toBe(10);
    expect(choosePacks([], 1, never)).toEqual([]);
    const reads = new Map(packs.map((pack, number) => [pack, 1000 - number]));
    reads.delete("4");
    expect(choosePacks([...packs], 0.3, reads)).toEqual(["4", "9", "8"]);
  });
});
