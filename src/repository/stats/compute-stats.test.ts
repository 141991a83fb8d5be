import { afterAll, describe, expect, it } from "vitest";
import { MemoryBackend } from "../../storage/index.ts";
import { Sealer } from "../crypto/envelope.ts";
import { loadIndex } from "../index/load-index.ts";
import { packEntryBytes } from "../pack/pack-format.ts";
import type { HexId, RepositoryStats } from "../repository.ts";
import { WorkerPool } from "../workers/worker-pool.ts";
import {
  BareRepository,
  directoryEntry,
  noise,
  snapshotOf,
  streamEntry,
  streamOf,
  testKey,
} from "../writer/conformance/bare-repository.ts";
import { computeStats } from "./compute-stats.ts";

const pool = new WorkerPool({ threads: 1 });
afterAll(() => pool.close());
const minute = 60_000;

/** Files by path: a seed and a size. */
type Tree = Readonly<Record<string, readonly [seed: number, size: number]>>;

async function backUp(repository: BareRepository, tree: Tree, at: number, hostname: string): Promise<void> {
  const writer = await repository.writer();
  const folders = new Set(Object.keys(tree).flatMap((path) => path.split("/").slice(0, -1)));
  const entries = [
    ...Array.from(folders, directoryEntry),
    ...Object.entries(tree).map(([path, [seed, size]]) => streamEntry(path, () => [noise(size, seed)])),
  ].sort((a, b) => Buffer.compare(sortable(a.path), sortable(b.path)));
  const { id } = await writer.storeTree(streamOf([directoryEntry(""), ...entries]));
  await writer.saveSnapshot({ ...snapshotOf(id), time: new Date(at * minute), hostname });
  await writer.close();
}

/** As entries are ordered: what is below a directory right after it. */
const sortable = (path: Uint8Array): Buffer => Buffer.from(Buffer.from(path).toString().replaceAll("/", "\0"));

/** The same figures from a set of blobs for each snapshot. */
async function bySets(repository: BareRepository): Promise<Omit<RepositoryStats["sizes"][number], "snapshot">[]> {
  const index = await loadIndex(repository.files);
  const trees = await repository.trees();
  const snapshots = (await repository.snapshots()).sort((a, b) => a.time.getTime() - b.time.getTime());
  const sets: Set<string>[] = [];
  const raw: number[] = [];
  for (const { tree } of snapshots) {
    const blobs = new Set<string>();
    let bytes = 0;
    const visit = async (id: HexId): Promise<void> => {
      blobs.add(`tree ${id}`);
      for (const { subtree, content } of await trees.children(id)) {
        if (subtree !== undefined) await visit(subtree);
        bytes += content?.sizeBytes ?? 0;
        for (let at = 0; at < (content?.blobIds.length ?? 0); at += 32) {
          blobs.add(`data ${Buffer.from(content?.blobIds.subarray(at, at + 32) ?? []).toString("hex")}`);
        }
      }
    };
    await visit(tree);
    sets.push(blobs);
    raw.push(bytes);
  }
  const sizeOf = (blobs: Iterable<string>): number => {
    let bytes = 0;
    for (const blob of blobs) {
      const [type = "", id = ""] = blob.split(" ");
      const location = index.blobs.locate(type === "tree" ? "tree" : "data", Buffer.from(id, "hex"));
      if (location !== undefined) bytes += location.length + packEntryBytes(location);
    }
    return bytes;
  };
  return sets.map((own, place) => ({
    bytes: raw[place] ?? 0,
    bytesStored: sizeOf(own),
    bytesUnique: sizeOf(Array.from(own).filter((blob) => !sets.some((other, at) => at !== place && other.has(blob)))),
    bytesNew: sizeOf(Array.from(own).filter((blob) => !sets.slice(0, place).some((other) => other.has(blob)))),
  }));
}

const statsOf = (repository: BareRepository): Promise<RepositoryStats> =>
  computeStats(repository.files, new Sealer(testKey), {});

describe("stats", () => {
  it("says of each snapshot what it holds, takes, alone needs and added", async () => {
    const repository = new BareRepository(new MemoryBackend(), pool);
    await backUp(repository, { a: [1, 5000], b: [2, 3000] }, 1, "h");
    await backUp(repository, { a: [1, 5000], b: [3, 4000] }, 2, "h");
    await backUp(repository, { a: [1, 5000], b: [3, 4000], "sub/again": [2, 3000] }, 3, "h");
    const { sizes, ...all } = await statsOf(repository);
    expect(sizes.map(({ bytes }) => bytes)).toEqual([8000, 9000, 12_000]);
    expect(all).toMatchObject({ snapshots: 3, bytesInSnapshots: 29_000, bytesUsedData: 12_000 });
    expect(all.bytesUsed).toBe(sizes.reduce((sum, { bytesNew }) => sum + bytesNew, 0));
    // b of the first one is needed by the third, too: only its directory is its own.
    expect(sizes[0]?.bytesUnique).toBeLessThan(1000);
    expect(sizes[1]?.bytesNew).toBeGreaterThan(4000);
    expect(sizes[1]?.bytesNew).toBeLessThan(5000);
    expect(sizes).toMatchObject(await bySets(repository));
  });

  it("is right for backups of several environments in turn, where data goes and comes again", async () => {
    const repository = new BareRepository(new MemoryBackend(), pool);
    let random = 7;
    const next = (below: number): number => {
      random = (random * 48_271) % 2_147_483_647;
      return random % below;
    };
    for (let at = 0; at < 24; at += 1) {
      const tree: Record<string, readonly [number, number]> = {};
      for (let file = 0; file < 6; file += 1) {
        if (next(4) > 0) tree[`d${next(3)}/f${file}`] = [next(8), 500 + next(3) * 100];
      }
      if (next(3) === 0) tree["d0/fixed"] = [99, 800];
      await backUp(repository, tree, at, `host${next(3)}`);
    }
    const { sizes } = await statsOf(repository);
    expect(sizes).toHaveLength(24);
    expect(sizes).toMatchObject(await bySets(repository));
  });

  it("has nothing to say of an empty repository, and names what is missing", async () => {
    const backend = new MemoryBackend();
    const repository = new BareRepository(backend, pool);
    expect(await statsOf(repository)).toMatchObject({ snapshots: 0, bytesUsed: 0, sizes: [] });
    await backUp(repository, { a: [1, 100] }, 1, "h");
    for (const name of await repository.files.ids("index")) await backend.remove({ type: "index", name });
    await expect(statsOf(repository)).rejects.toMatchObject({ code: "REPOSITORY_DAMAGED" });
  });
});
