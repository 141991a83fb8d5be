import { createHash } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Backend, FaultyBackend, type FileHandle, type FileType, MemoryBackend } from "../../storage/index.ts";
import { Sealer, sealEnvelope } from "../crypto/envelope.ts";
import { findMasterKey } from "../crypto/key-list.ts";
import { encodeIndex, type IndexedPack } from "../index/index-file.ts";
import { eachIndexedPack } from "../index/load-index.ts";
import { createRepository, openRepository } from "../open.ts";
import { encodePackHeader } from "../pack/pack-format.ts";
import type { HexId, Repository, Snapshot } from "../repository.ts";
import { UnpackedFiles } from "../unpacked-files.ts";
import { collect, noise } from "../writer/conformance/bare-repository.ts";
import { backUp, password } from "./conformance/stored-backup.ts";
import type { RepairOptions, RepairReport } from "./repair-types.ts";

const types: readonly FileType[] = ["key", "data", "index", "snapshot"];

/** Two snapshots share `shared/a` to `shared/d`; each has `own/NAME`, and a description. */
let original: MemoryBackend;
let first: Snapshot;
let second: Snapshot;
let sealer: Sealer;
let backend: MemoryBackend;

beforeAll(async () => {
  original = new MemoryBackend();
  await createRepository(original, { password });
  first = await backUp(original, "first", 1);
  second = await backUp(original, "second", 2);
  sealer = new Sealer(await findMasterKey(original, password));
});
beforeEach(async () => {
  backend = new MemoryBackend();
  const handles: FileHandle[] = [{ type: "config", name: "config" }];
  for (const type of types) handles.push(...(await handlesOf(original, type)));
  for (const handle of handles) await backend.save(handle, await original.load(handle));
});

async function handlesOf(target: Backend, type: FileType): Promise<FileHandle[]> {
  const handles: FileHandle[] = [];
  for await (const { name } of target.list(type)) handles.push({ type, name });
  return handles;
}

const namesOf = async (type: FileType): Promise<string[]> =>
  (await handlesOf(backend, type)).map(({ name }) => name).sort();

async function opened<T>(use: (repository: Repository) => Promise<T>): Promise<T> {
  const repository = await openRepository(backend, { password, workers: 1 });
  try {
    return await use(repository);
  } finally {
    await repository.close();
  }
}

const repair = (options?: RepairOptions): Promise<RepairReport> => opened((repository) => repository.repair(options));

async function errors(): Promise<string[]> {
  const { findings } = await opened((repository) => repository.check({ readDataRatio: 1 }));
  return findings.filter(({ severity }) => severity === "error").map(({ kind }) => kind);
}

/** What can be read of a snapshot, by path. */
async function contents(snapshot: Snapshot): Promise<Record<string, Buffer>> {
  return opened(async (repository) => {
    const reader = await repository.reader();
    const found: Record<string, Buffer> = {};
    for await (const { path, content } of reader.walk(snapshot, Buffer.alloc(0))) {
      if (content !== undefined) found[path.toString()] = await collect(reader.read(content));
    }
    await reader.close();
    return found;
  });
}

async function packs(): Promise<IndexedPack[]> {
  const found: IndexedPack[] = [];
  await eachIndexedPack(new UnpackedFiles(original, sealer), (pack) => found.push(pack));
  return found;
}

/** The packs with data: those of the first backup, then the second's own. */
async function dataPacks(): Promise<[IndexedPack, IndexedPack]> {
  const data = (await packs()).filter(({ blobs }) => blobs[0]?.type === "data");
  const [large, small] = data.sort((a, b) => b.blobs.length - a.blobs.length);
  if (large === undefined || small === undefined || data.length !== 2) throw new Error("There should be two packs.");
  return [large, small];
}

async function change(handle: FileHandle, alter: (bytes: Buffer) => Buffer): Promise<void> {
  const bytes = await backend.load(handle);
  await backend.remove(handle);
  await backend.save(handle, alter(Buffer.from(bytes)));
}

const flip =
  (position: number) =>
  (bytes: Buffer): Buffer => {
    bytes[position] = (bytes[position] as number) ^ 0x10;
    return bytes;
  };

const everything = async (): Promise<void> => {
  expect(await contents(first)).toMatchObject({ "own/first": noise(30_000, 1), "shared/d": noise(20_000, 13) });
  expect(Object.keys(await contents(second))).toEqual([
    "about",
    "own/second",
    "shared/a",
    "shared/b",
    "shared/c",
    "shared/d",
  ]);
};

describe("repair", () => {
  it("finds nothing to do in a sound repository and changes nothing", async () => {
    const before = await Promise.all(types.map(namesOf));
    const report = await repair({ readData: true, forget: true });
    expect(report).toMatchObject({
      dryRun: false,
      snapshots: 2,
      snapshotsUndecodable: [],
      damaged: [],
      index: { undecodable: [], replaced: [], packsAdded: [], packsMissing: [], packsDamaged: [], blobsSalvaged: 0 },
    });
    expect(await Promise.all(types.map(namesOf))).toEqual(before);
  });

  it("makes a lost and a damaged index again from the packs' headers; a dry run only says so", async () => {
    const [one, other] = await handlesOf(backend, "index");
    await backend.remove(one as FileHandle);
    await change(other as FileHandle, flip(40));
    const before = await namesOf("index");
    const plan = await repair({ dryRun: true });
    expect(plan).toMatchObject({ dryRun: true, damaged: [], index: { undecodable: [other?.name] } });
    expect(plan.index.packsAdded.toSorted()).toEqual(await namesOf("data"));
    expect(await namesOf("index")).toEqual(before);
    const { dryRun, ...done } = await repair();
    expect({ ...done, dryRun: true }).toEqual({ ...plan, dryRun: !dryRun });
    expect(await errors()).toEqual([]);
    await everything();
    expect((await repair()).index).toMatchObject({ replaced: [], packsAdded: [] });
  });

  it("says which paths of which snapshot are lost with a pack, and leaves the snapshots as they are", async () => {
    const [, { id }] = await dataPacks();
    await backend.remove({ type: "data", name: id });
    const before = await namesOf("snapshot");
    const report = await repair();
    expect(report.index).toMatchObject({ packsMissing: [id], packsDamaged: [] });
    expect(report.damaged).toMatchObject([
      { snapshot: { id: second.id }, paths: ["/about", "/own/second"], pathsTotal: 2, nothingLeft: false },
    ]);
    expect(await namesOf("snapshot")).toEqual(before);
    expect(await errors()).toEqual(["blob-missing", "blob-missing"]);
  });

  it("replaces a snapshot by what is left of it if that is asked for, marks it, and tells before the old one goes", async () => {
    const [, { id }] = await dataPacks();
    await backend.remove({ type: "data", name: id });
    const told: unknown[] = [];
    const report = await repair({
      forget: true,
      onReplaced: async ({ snapshot }, replacement) => {
        told.push(snapshot.id, replacement?.id);
        expect(await namesOf("snapshot")).toEqual([first.id, snapshot.id, String(replacement?.id)].sort());
      },
    });
    const [damaged] = report.damaged;
    expect(told).toEqual([second.id, damaged?.replacement?.id]);
    expect(damaged?.replacement).toMatchObject({
      tags: ["backup:second", "repaired"],
      hostname: "h",
      time: first.time,
    });
    expect(await namesOf("snapshot")).toEqual([first.id, String(damaged?.replacement?.id)].sort());
    expect(Object.keys(await contents(damaged?.replacement as Snapshot))).toEqual(
      ["a", "b", "c", "d"].map((name) => `shared/${name}`),
    );
    expect(await errors()).toEqual([]);
    expect(await repair({ readData: true, forget: true })).toMatchObject({ damaged: [], index: { replaced: [] } });
    const stored = await new UnpackedFiles(backend, sealer).load("snapshot", String(damaged?.replacement?.id));
    expect(JSON.parse(stored.toString())).toMatchObject({ original: second.id, paths: ["/"] });
  });

  it("takes the snapshot that a killed repair left instead of writing another", async () => {
    const [, { id }] = await dataPacks();
    await backend.remove({ type: "data", name: id });
    const killed = repair({
      forget: true,
      onReplaced: async () => {
        throw new TypeError("killed");
      },
    });
    await expect(killed).rejects.toThrow("killed");
    const left = await namesOf("snapshot");
    expect(left).toHaveLength(3);
    const { damaged } = await repair({ forget: true });
    expect(left).toContain(damaged[0]?.replacement?.id);
    expect(await namesOf("snapshot")).toHaveLength(2);
  });

  it("lets a snapshot say of itself what it lost", async () => {
    const [{ id, blobs }] = await dataPacks();
    // One blob in the middle: not the description.
    const victim = blobs.toSorted((a, b) => b.length - a.length)[0];
    await change({ type: "data", name: id }, flip((victim?.offset ?? 0) + 20));
    const amend = (current: Buffer, { paths }: { readonly paths: readonly string[] }): Buffer =>
      Buffer.from(`${current.toString()}, without ${paths.join()}`);
    const { damaged } = await repair({ readData: true, forget: true, description: { name: "about", amend } });
    expect(damaged).toHaveLength(1);
    const found = await contents(damaged[0]?.replacement as Snapshot);
    expect(found["about"]?.toString()).toBe("about first, without /own/first");
    expect(await errors()).toEqual([]);
  });

  it("takes out of a damaged pack what can still be read, without the index as well as with it", async () => {
    const [{ id, blobs }] = await dataPacks();
    const victim = blobs.toSorted((a, b) => b.length - a.length)[0];
    await change({ type: "data", name: id }, flip((victim?.offset ?? 0) + 20));
    expect((await repair()).index.packsDamaged).toEqual([]);
    const report = await repair({ readData: true });
    expect(report.index.packsDamaged).toEqual([{ id, blobsReadable: blobs.length - 1, blobsLost: 1 }]);
    expect(report.index.blobsSalvaged).toBe(blobs.length - 1);
    expect(report.damaged).toMatchObject([{ snapshot: { id: first.id }, paths: ["/own/first"] }]);
    expect(await namesOf("data")).toContain(id);
    expect(await errors()).toEqual(["blob-missing"]);
    expect((await contents(second))["shared/b"]).toEqual(noise(20_000, 11));
    // Its header is good, and no index names it: it must not come back.
    for (const handle of await handlesOf(backend, "index")) {
      const { packs: named = [] } = JSON.parse(
        (await new UnpackedFiles(backend, sealer).load("index", handle.name)).toString(),
      ) as { packs?: { id: HexId }[] };
      if (named.length > 0) await backend.remove(handle);
    }
    const again = await repair({ forget: true });
    expect(again.index.packsAdded).not.toContain(id);
    expect(again.index.blobsSalvaged).toBe(0);
    expect(await errors()).toEqual([]);
  });

  it("finds the blobs of a pack that was cut off by what the index says of it", async () => {
    const [{ id, blobs }] = await dataPacks();
    const [, , third] = blobs.toSorted((a, b) => a.offset - b.offset);
    await change({ type: "data", name: id }, (bytes) => bytes.subarray(0, (third?.offset ?? 0) + 5));
    const { index, damaged } = await repair({ forget: true });
    expect(index.packsDamaged).toEqual([{ id, blobsReadable: 2, blobsLost: blobs.length - 2 }]);
    expect(damaged).toHaveLength(2);
    expect(await errors()).toEqual([]);
  });

  it("finds a damaged tree on its way, and the directory's siblings stay", async () => {
    const pack = (await packs()).find(({ blobs }) => blobs[0]?.type === "tree") as IndexedPack;
    const [largest] = pack.blobs.toSorted((a, b) => b.length - a.length);
    await change({ type: "data", name: pack.id }, flip((largest?.offset ?? 0) + 20));
    const { index, damaged } = await repair({ forget: true });
    expect(index.packsDamaged).toMatchObject([{ id: pack.id, blobsLost: 1 }]);
    for (const { paths } of damaged) expect(paths.every((path) => path.endsWith("/"))).toBe(true);
    expect(damaged.length).toBeGreaterThan(0);
    expect(await errors()).toEqual([]);
  });

  it.each([
    // The piece that is read of the pack to see what is left of it, the first and the second time; then the directory alone.
    { what: "the first look at the pack", whole: true, at: 1 },
    { what: "the second look at the pack", whole: true, at: 2 },
    { what: "the directory", whole: false, at: 1 },
  ])("believes nothing lost for one bad read: of $what", async ({ whole, at: nth }) => {
    const isRoot = ({ id }: { readonly id: Uint8Array }): boolean => Buffer.from(id).toString("hex") === first.tree;
    const pack = (await packs()).find(({ blobs }) => blobs.some(isRoot)) as IndexedPack;
    const root = pack.blobs.find(isRoot);
    const other = pack.blobs.find((blob) => !isRoot(blob));
    await change({ type: "data", name: pack.id }, flip((other?.offset ?? 0) + 20));
    const bytesOfAll = pack.blobs.reduce((sum, { length }) => sum + length, 0);
    let reads = 0;
    const alter = ({ name }: FileHandle, bytes: Buffer): Buffer => {
      if (name !== pack.id || bytes.length !== (whole ? bytesOfAll : root?.length)) return bytes;
      reads += 1;
      return reads === nth ? Buffer.alloc(bytes.length) : bytes;
    };
    const repository = await openRepository(new FaultyBackend(backend, { alter }), { password, workers: 1 });
    const { index, damaged } = await repository.repair({ forget: true, readData: true });
    await repository.close();
    expect(reads).toBeGreaterThanOrEqual(nth);
    expect(index.packsDamaged).toMatchObject([{ id: pack.id, blobsLost: 1 }]);
    expect(damaged.map(({ nothingLeft }) => nothingLeft)).not.toContain(true);
    expect(await namesOf("snapshot")).toHaveLength(2);
    expect(await errors()).toEqual([]);
  });

  it("believes nothing lost for one bad read of an index file, at any of the times that it is read", async () => {
    const [lost, kept] = await handlesOf(backend, "index");
    await change(lost as FileHandle, flip(40));
    const handles = [...(await handlesOf(backend, "index")), ...(await handlesOf(backend, "data"))];
    const before = await Promise.all(handles.map(async (handle) => ({ handle, bytes: await backend.load(handle) })));
    let reads = 0;
    for (let nth = 1; nth === 1 || reads >= nth - 1; nth += 1) {
      for (const type of ["index", "data"] as const) {
        for (const handle of await handlesOf(backend, type)) await backend.remove(handle);
      }
      for (const { handle, bytes } of before) await backend.save(handle, bytes);
      reads = 0;
      const alter = ({ name }: FileHandle, bytes: Buffer): Buffer => {
        if (name !== kept?.name) return bytes;
        reads += 1;
        return reads === nth ? Buffer.alloc(bytes.length) : bytes;
      };
      const repository = await openRepository(new FaultyBackend(backend, { alter }), { password, workers: 1 });
      const { damaged } = await repository.repair({ forget: true, readData: true });
      await repository.close();
      expect(damaged).toEqual([]);
      expect(await namesOf("snapshot")).toHaveLength(2);
    }
    expect(reads).toBeGreaterThan(1);
    await everything();
  });

  it("removes snapshots that cannot be read, or of which nothing is left, only if that is asked for", async () => {
    await change({ type: "snapshot", name: first.id }, flip(30));
    for (const { id, blobs } of await packs()) {
      if (blobs[0]?.type === "tree") await backend.remove({ type: "data", name: id });
    }
    const plan = await repair();
    expect(plan.snapshotsUndecodable).toEqual([first.id]);
    expect(plan.damaged).toMatchObject([{ snapshot: { id: second.id }, nothingLeft: true, paths: ["/"] }]);
    expect(await namesOf("snapshot")).toHaveLength(2);
    const told: unknown[] = [];
    await repair({ forget: true, onReplaced: async (_, replacement) => void told.push(replacement) });
    expect(told).toEqual([undefined]);
    expect(await namesOf("snapshot")).toEqual([]);
    expect(await errors()).toEqual([]);
  });

  it("believes neither an index that contradicts the packs nor one that contradicts another", async () => {
    const [large, small] = await dataPacks();
    const files = new UnpackedFiles(backend, sealer);
    const longer = { id: large.id, blobs: large.blobs.map((blob) => ({ ...blob, length: blob.length + 1 })) };
    const swapped = { id: small.id, blobs: small.blobs.map((blob) => ({ ...blob, id: Buffer.alloc(32, 9) })) };
    await files.save("index", encodeIndex([longer, swapped]));
    expect(await errors()).not.toEqual([]);
    const { index, damaged } = await repair();
    expect(index.packsAdded.toSorted()).toEqual([large.id, small.id].sort());
    expect(damaged).toEqual([]);
    expect(await errors()).toEqual([]);
    await everything();
  });

  it("bounds what a forged pack claims: lengths, sizes, a header that is none", async () => {
    const save = async (bytes: Buffer): Promise<string> => {
      const name = createHash("sha256").update(bytes).digest("hex");
      await backend.save({ type: "data", name }, bytes);
      return name;
    };
    const trailer = (length: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(length);
      return bytes;
    };
    const master = await findMasterKey(original, password);
    const blob = sealEnvelope(master, Buffer.from("small"));
    const claim = {
      type: "data",
      id: Buffer.alloc(32, 1),
      length: blob.length,
      uncompressedLength: 0xffff_ffff,
    } as const;
    const header = sealEnvelope(master, encodePackHeader([claim]));
    const beyond = sealEnvelope(master, encodePackHeader([{ ...claim, length: 0xffff_ff00 }]));
    const forged = [
      await save(Buffer.concat([blob, trailer(0xffff_ffff)])),
      await save(Buffer.concat([blob, beyond, trailer(beyond.length)])),
      await save(noise(5000, 3)),
      await save(Buffer.alloc(3)),
    ];
    const liar = await save(Buffer.concat([blob, header, trailer(header.length)]));
    const { index } = await repair({ readData: true });
    expect(index.packsDamaged.map(({ id }) => id).toSorted()).toEqual([...forged, liar].sort());
    expect(index.packsAdded).toEqual([]);
    expect(await errors()).toEqual([]);
    await everything();
  });

  it("is alone on the repository", async () => {
    await opened(async (repository) => {
      const writer = await repository.writer();
      await expect(repository.repair({ dryRun: true })).rejects.toMatchObject({ code: "REPOSITORY_LOCKED" });
      await writer.close();
    });
  }, 30_000);
});
