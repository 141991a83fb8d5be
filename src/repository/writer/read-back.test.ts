import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generatedDirectory, generatedFile } from "../../component/index.ts";
import { type Backend, type FileHandle, FaultyBackend, type Faults, MemoryBackend } from "../../storage/index.ts";
import { createRepository, openRepository } from "../open.ts";

const password = "p";
const at = new Date("2026-01-01T00:00:00Z");

let empty: MemoryBackend;

beforeAll(async () => {
  empty = new MemoryBackend();
  await createRepository(empty, { password });
});
afterAll(() => empty.close());

async function emptyCopy(): Promise<MemoryBackend> {
  const copy = new MemoryBackend();
  const handles: FileHandle[] = [{ type: "config", name: "config" }];
  for await (const { name } of empty.list("key")) handles.push({ type: "key", name });
  for (const handle of handles) await copy.save(handle, await empty.load(handle));
  return copy;
}

async function backUp(backend: Backend, verifyWrites: boolean): Promise<void> {
  const repository = await openRepository(backend, { password, workers: 1, verifyWrites });
  try {
    const writer = await repository.writer();
    try {
      async function* entries(): AsyncGenerator<ReturnType<typeof generatedDirectory>> {
        yield generatedDirectory("", at);
        yield generatedFile("file", at, async function* open() {
          yield Buffer.alloc(300_000, "content");
        });
      }
      const { id: tree } = await writer.storeTree(entries());
      await writer.saveSnapshot({ time: at, tree, paths: ["/"], hostname: "h", tags: [] });
    } finally {
      await writer.close();
    }
  } finally {
    await repository.close();
  }
}

async function count(backend: Backend, type: "index" | "snapshot" | "data" | "lock"): Promise<number> {
  let files = 0;
  for await (const { name } of backend.list(type)) files += name === "" ? 0 : 1;
  return files;
}

/** A storage that gives other bytes back than it was given, `times` times. */
function flipping(type: FileHandle["type"], times: number): Faults {
  let left = times;
  return {
    alter: (handle, bytes) => {
      if (handle.type !== type || left === 0) return bytes;
      left -= 1;
      bytes[20] = (bytes[20] as number) ^ 1;
      return bytes;
    },
  };
}

describe("a backup that is verified", () => {
  it("reads every pack, the index and the snapshot back", async () => {
    const backend = await emptyCopy();
    const loaded: string[] = [];
    const before = (operation: string, handle: FileHandle | undefined): void => {
      if (operation === "load" && handle !== undefined) loaded.push(`${handle.type}/${handle.name}`);
    };
    await backUp(new FaultyBackend(backend, { before }), true);
    for (const type of ["data", "index", "snapshot"] as const) {
      for await (const { name } of backend.list(type)) expect(loaded).toContain(`${type}/${name}`);
    }
    loaded.length = 0;
    await backUp(new FaultyBackend(await emptyCopy(), { before }), false);
    expect(loaded.filter((name) => name.startsWith("data/"))).toEqual([]);
  });

  it.each(["data", "index", "snapshot"] as const)(
    "is not reported complete if a %s file comes back altered",
    async (type) => {
      const backend = await emptyCopy();
      const faulty = new FaultyBackend(backend, flipping(type, Number.POSITIVE_INFINITY));
      await expect(backUp(faulty, true)).rejects.toMatchObject({ code: "REPOSITORY_DAMAGED" });
      // No index names a pack that is not what it should be, and no snapshot is left that is not.
      if (type === "data") expect(await count(backend, "index")).toBe(0);
      expect([await count(backend, "snapshot"), await count(backend, "lock")]).toEqual([0, 0]);
    },
  );

  it("goes on after a fault that does not come twice", async () => {
    const backend = await emptyCopy();
    await backUp(new FaultyBackend(backend, flipping("data", 1)), true);
    expect(await count(backend, "snapshot")).toBe(1);
  });
});
