import { afterAll, describe, expect, test } from "vitest";
import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import { FaultyBackend, MemoryBackend } from "../../storage/index.ts";
import { WorkerPool } from "../workers/worker-pool.ts";
import {
  BareRepository,
  collect,
  directoryEntry,
  noise,
  snapshotOf,
  streamEntry,
  streamOf,
} from "./conformance/bare-repository.ts";

const pool = new WorkerPool({ threads: 2 });
afterAll(() => pool.close());

describe("a writer that is stopped", () => {
  const backup = async (repository: BareRepository, seed: number): Promise<void> => {
    const writer = await repository.writer({ packBytes: 64 << 10 });
    try {
      const entries = Array.from({ length: 40 }, (_, at) =>
        streamEntry(`f${10 + at}`, () => [noise(9000, seed * 100 + at)]),
      );
      const tree = await writer.storeTree(streamOf([directoryEntry(""), directoryEntry("d"), ...entries]));
      const top = await writer.storeDirectory([
        { name: Buffer.from("top"), metadata: directoryEntry("").metadata, subtree: tree.id },
      ]);
      await writer.saveSnapshot(snapshotOf(top));
    } finally {
      await writer.close();
    }
  };
  const verify = async (repository: BareRepository): Promise<number> => {
    const reader = await repository.reader();
    const trees = await repository.trees();
    let files = 0;
    const walk = async (id: string): Promise<void> => {
      for (const child of await trees.children(id)) {
        if (child.subtree !== undefined) await walk(child.subtree);
        if (child.content === undefined) continue;
        expect((await collect(reader.read(child.content))).length).toBe(child.content.sizeBytes);
        files += 1;
      }
    };
    for (const { tree } of await repository.snapshots()) await walk(tree);
    await reader.close();
    return files;
  };

  test.each(["before", "after"] as const)(
    "leaves every earlier snapshot whole, at whatever save it was stopped (%s it)",
    async (moment) => {
      const memory = new MemoryBackend();
      const intact = new BareRepository(memory, pool);
      await backup(intact, 0);
      expect(await verify(intact)).toBe(40);
      let failures = 0;
      for (let stopAt = 1; ; stopAt += 1) {
        let saves = 0;
        const stopped = new FaultyBackend(memory, {
          [moment]: (operation: string) => {
            if (operation !== "save") return;
            saves += 1;
            if (saves >= stopAt) throw new HoldfastError("STORAGE_TRANSIENT", "The storage went away.");
          },
        });
        const outcome = await backup(new BareRepository(stopped, pool), stopAt).catch((error: unknown) => error);
        if (outcome === undefined) break;
        expect(isHoldfastError(outcome, "STORAGE_TRANSIENT")).toBe(true);
        failures += 1;
        const snapshots = await intact.snapshots();
        // Only the answer to the last save of all, the snapshot's, may be lost with the snapshot there.
        expect(await verify(intact)).toBe(40 * snapshots.length);
      }
      expect(failures).toBeGreaterThan(6);
      expect((await intact.snapshots()).length).toBe(moment === "before" ? 2 : 3);
      expect(await verify(intact)).toBe(moment === "before" ? 80 : 120);
    },
  );

  test("throws the storage's error in every later call, and in saveSnapshot", async () => {
    let broken = false;
    const backend = new FaultyBackend(new MemoryBackend(), {
      before: (operation) => {
        if (operation === "save" && broken) throw new HoldfastError("STORAGE_FULL", "No room.");
      },
    });
    const repository = new BareRepository(backend, pool);
    const writer = await repository.writer({ packBytes: 64 << 10 });
    const tree = await writer.storeTree(streamOf([directoryEntry("")]));
    broken = true;
    const endless = async (): Promise<void> => {
      for (let at = 0; ; at += 1) await writer.storeStream(streamOf([noise(100_000, at)]));
    };
    await expect(endless()).rejects.toMatchObject({ code: "STORAGE_FULL" });
    await expect(writer.storeFiles([])).rejects.toMatchObject({ code: "STORAGE_FULL" });
    await expect(writer.saveSnapshot(snapshotOf(tree.id))).rejects.toMatchObject({ code: "STORAGE_FULL" });
    await writer.close();
    await writer.close();
  });

  test("ends at once when it is cancelled, and the workers go on for others", async () => {
    const repository = new BareRepository(new MemoryBackend(), pool);
    const abort = new AbortController();
    const writer = await repository.writer({ signal: abort.signal, packBytes: 1 << 20 });
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let at = 0; ; at += 1) {
        if (at === 20) abort.abort();
        yield noise(1 << 18, at);
      }
    }
    await expect(writer.storeStream(endless())).rejects.toMatchObject({ code: "INTERRUPTED" });
    await expect(writer.saveSnapshot(snapshotOf("0".repeat(64)))).rejects.toMatchObject({ code: "INTERRUPTED" });
    await writer.close();
    const stop = AbortSignal.abort();
    const other = await repository.writer();
    await expect(other.storeFiles([], stop)).rejects.toMatchObject({ code: "INTERRUPTED" });
    await expect(other.storeTree(streamOf([directoryEntry("")]), stop)).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect((await other.storeStream(streamOf([Buffer.from("x")]))).sizeBytes).toBe(1);
    await other.close();
  });

  test("saves one snapshot only, of a tree that it knows", async () => {
    const repository = new BareRepository(new MemoryBackend(), pool);
    const writer = await repository.writer();
    const tree = await writer.storeTree(streamOf([directoryEntry("")]));
    await writer.saveSnapshot(snapshotOf(tree.id));
    await expect(writer.saveSnapshot(snapshotOf(tree.id))).rejects.toThrow(TypeError);
    await writer.close();
    const other = await repository.writer();
    await expect(other.saveSnapshot(snapshotOf("ab".repeat(32)))).rejects.toMatchObject({ code: "INTERNAL" });
    await other.close();
    expect((await repository.snapshots()).length).toBe(1);
  });
});
