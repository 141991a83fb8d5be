import { afterAll, describe, expect, it } from "vitest";
import { HoldfastError } from "../../base/index.ts";
import { type Backend, FaultyBackend, type FileType, MemoryBackend } from "../../storage/index.ts";
import { Sealer } from "../crypto/envelope.ts";
import { encodeMarks } from "../index/pack-marks.ts";
import { acquireLock } from "../lock/repository-lock.ts";
import { UnpackedFiles } from "../unpacked-files.ts";
import { WorkerPool } from "../workers/worker-pool.ts";
import {
  BareRepository,
  collect,
  directoryEntry,
  noise,
  snapshotOf,
  streamEntry,
  streamOf,
  testKey,
} from "../writer/conformance/bare-repository.ts";
import { pruneRepository } from "./prune-repository.ts";
import type { PruneOptions, PruneReport } from "./prune-types.ts";

const pool = new WorkerPool({ threads: 1 });
afterAll(() => pool.close());
const sealer = new Sealer(testKey);
const fileTypes: readonly FileType[] = ["data", "index", "snapshot"];
const freeAll = { safetyMs: 0, maxUnused: { ratio: 0 } } as const;

const prune = (backend: Backend, options: PruneOptions = freeAll): Promise<PruneReport> =>
  pruneRepository({ files: new UnpackedFiles(backend, sealer), sealer, packBytes: 100_000 }, options);

async function backUp(backend: Backend, from: number, to: number): Promise<string> {
  const writer = await new BareRepository(backend, pool).writer({ packBytes: 100_000 });
  try {
    const entries = Array.from({ length: to - from }, (_, at) =>
      streamEntry(`f${100 + from + at}`, () => [noise(9000, from + at)]),
    );
    const { id } = await writer.storeTree(streamOf([directoryEntry(""), ...entries]));
    return (await writer.saveSnapshot(snapshotOf(id))).id;
  } finally {
    await writer.close();
  }
}

/** As another process finds it after this one was killed: without its locks, which are known to be a dead process's. */
async function copyOf(backend: Backend): Promise<MemoryBackend> {
  const copy = new MemoryBackend();
  for (const type of fileTypes) {
    for await (const { name } of backend.list(type))
      await copy.save({ type, name }, await backend.load({ type, name }));
  }
  return copy;
}

async function filesRead(backend: Backend): Promise<number> {
  const repository = new BareRepository(backend, pool);
  const [reader, trees] = [await repository.reader(), await repository.trees()];
  let files = 0;
  for (const { tree } of await repository.snapshots()) {
    for (const { name, content } of await trees.children(tree)) {
      if (content === undefined) continue;
      const seed = Number(name.toString().slice(1)) - 100;
      expect((await collect(reader.read(content))).equals(noise(9000, seed))).toBe(true);
      files += 1;
    }
  }
  await reader.close();
  return files;
}

async function bytesOf(backend: Backend): Promise<number> {
  let bytes = 0;
  for await (const { sizeBytes } of backend.list("data")) bytes += sizeBytes;
  return bytes;
}

async function worn(): Promise<MemoryBackend> {
  const memory = new MemoryBackend();
  const first = await backUp(memory, 0, 30);
  await backUp(memory, 25, 50);
  const third = await backUp(memory, 50, 60);
  for (const name of [first, third]) await memory.remove({ type: "snapshot", name });
  await memory.save({ type: "data", name: "ab".repeat(32) }, noise(500, 1));
  return memory;
}

describe("a prune that is interrupted", () => {
  it.each(["before", "after"] as const)(
    "loses nothing, at whatever call (%s it), and the next one finishes",
    async (moment) => {
      const start = await worn();
      const whole = await copyOf(start);
      await prune(whole);
      const bytesAfter = await bytesOf(whole);
      expect(bytesAfter).toBeLessThan((await bytesOf(start)) / 2);
      let calls = 0;
      for (let stopAt = 1; ; stopAt += 1) {
        calls = 0;
        const killed = await copyOf(start);
        const faulty = new FaultyBackend(killed, {
          [moment]: () => {
            calls += 1;
            if (calls >= stopAt) throw new HoldfastError("STORAGE_TRANSIENT", "The process was killed.");
          },
        });
        const outcome = await prune(faulty).catch((error: unknown) => error);
        if (!(outcome instanceof HoldfastError)) break;
        const left = await copyOf(killed);
        expect(await filesRead(left)).toBe(25);
        await prune(left);
        expect(await filesRead(left)).toBe(25);
        // Packs of other sizes may come of repacking what was repacked.
        expect(Math.abs((await bytesOf(left)) - bytesAfter)).toBeLessThan(1000);
        const settled = await prune(left);
        expect(settled.plan).toMatchObject({ bytesFreed: 0, bytesFreedLater: 0, bytesRewritten: 0 });
      }
      expect(calls).toBeGreaterThan(30);
    },
    120_000,
  );
});

describe("a prune beside a writer", () => {
  it("deletes what was marked long before the writer began, which does not rely on it", async () => {
    const memory = new MemoryBackend();
    const files = new UnpackedFiles(memory, sealer);
    await memory.remove({ type: "snapshot", name: await backUp(memory, 0, 30) });
    const packs: string[] = [];
    for await (const { name } of memory.list("data")) packs.push(name);
    await files.save("index", encodeMarks({ time: new Date(Date.now() - 2 * 86_400_000), packs, orphans: [] }));
    const lock = await acquireLock(files, { exclusive: false });
    const writer = await new BareRepository(memory, pool).writer({ packBytes: 100_000 });
    const report = await prune(memory, {});
    expect(report.deleted.packs).toBe(packs.length);
    const entries = Array.from({ length: 30 }, (_, at) => streamEntry(`f${100 + at}`, () => [noise(9000, at)]));
    const { id } = await writer.storeTree(streamOf([directoryEntry(""), ...entries]));
    await writer.saveSnapshot(snapshotOf(id));
    await writer.close();
    await lock.release();
    expect(await filesRead(memory)).toBe(30);
    expect(await memory.stat({ type: "data", name: packs[0] ?? "" }).catch(() => "gone")).toBe("gone");
  });
});
