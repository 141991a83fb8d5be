import { execFileSync } from "node:child_process";
import { appendFileSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Entry, StoreFileResult } from "../../component/index.ts";
import { FaultyBackend, MemoryBackend } from "../../storage/index.ts";
import { WorkerPool } from "../workers/worker-pool.ts";
import {
  BareRepository,
  directoryEntry,
  fileMetadata,
  localEntry,
  noise,
  snapshotOf,
  storedEntry,
  streamEntry,
  streamOf,
  temporaryFolder,
} from "./conformance/bare-repository.ts";

const pool = new WorkerPool({ threads: 2 });
afterAll(() => pool.close());

const paths = (folder: string, names: readonly string[]): { path: Buffer }[] =>
  names.map((name) => ({ path: Buffer.from(join(folder, name)) }));

const statuses = (results: readonly StoreFileResult[]): string[] =>
  results.map((result) => (result.status === "failed" ? result.code : result.status));

describe("storing files", () => {
  test("tells for each file what became of it, in order", async () => {
    await using folder = await temporaryFolder();
    writeFileSync(join(folder.path, "file"), "content");
    writeFileSync(join(folder.path, "empty"), "");
    symlinkSync("file", join(folder.path, "link"));
    mkdirSync(join(folder.path, "directory"));
    execFileSync("mkfifo", [join(folder.path, "pipe")]);
    const repository = new BareRepository(new MemoryBackend(), pool);
    const writer = await repository.writer();
    const names = ["missing", "file", "link", "directory", "pipe", "empty"];
    const results = await writer.storeFiles(paths(folder.path, names));
    expect(statuses(results)).toEqual(["ENOENT", "stored", "ELOOP", "EINVAL", "EINVAL", "stored"]);
    expect(results[1]).toMatchObject({ content: { sizeBytes: 7 }, stamp: { sizeBytes: 7 } });
    expect(results[5]).toMatchObject({ content: { sizeBytes: 0, blobIds: new Uint8Array(0) } });
    await writer.close();
  });

  test("says that a file changes that goes on changing while it is read", async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "log");
    writeFileSync(path, noise(8 << 20, 1));
    // Reading waits for saves, so that each reading meets a change, and new bytes that it has to save.
    let change = 1;
    let still = false;
    const backend = new FaultyBackend(new MemoryBackend(), {
      before: (operation, handle) => {
        if (still || operation !== "save" || handle?.type !== "data") return;
        change += 1;
        writeFileSync(path, noise(8 << 20, change), { flag: "r+" });
        appendFileSync(path, "another line\n");
      },
    });
    const writer = await new BareRepository(backend, pool).writer({ packBytes: 512 << 10 });
    expect(statuses(await writer.storeFiles([{ path: Buffer.from(path) }]))).toEqual(["changing"]);
    still = true;
    const entries = streamOf([directoryEntry(""), localEntry("log", path)]);
    expect((await writer.storeTree(entries)).files).toBe(1);
    await writer.close();
  });

  test("stores nothing twice, within a backup, across workers and in the next backup", async () => {
    await using folder = await temporaryFolder();
    const names = Array.from({ length: 400 }, (_, at) => `file${at}`);
    for (const [at, name] of names.entries()) writeFileSync(join(folder.path, name), noise(3000, at % 100));
    for (const name of ["large1", "large2", "large3", "large4"])
      writeFileSync(join(folder.path, name), noise(9 << 20, 7));
    const all = paths(folder.path, [...names, "large1", "large2", "large3", "large4"]);
    const repository = new BareRepository(new MemoryBackend(), pool);
    const backup = async (): Promise<{ blobsNew: number; tree: string }> => {
      const writer = await repository.writer({ packBytes: 1 << 20 });
      // In both orders at once, so that workers meet at the same blobs.
      const parts = [0, 40, 80, 120, 160, 200].map((at) => writer.storeFiles([...all.slice(at), ...all.slice(0, at)]));
      await Promise.all(parts);
      const entries = [directoryEntry(""), ...all.map(({ path }, at) => localEntry(`f${1000 + at}`, path.toString()))];
      const tree = await writer.storeTree(streamOf(entries));
      await writer.saveSnapshot(snapshotOf(tree.id));
      const { blobsNew } = writer.stats();
      await writer.close();
      return { blobsNew, tree: tree.id };
    };
    const first = await backup();
    const blobs = (await repository.indexedPacks()).flatMap((pack) => pack.blobs);
    const ids = blobs.map((blob) => `${blob.type} ${Buffer.from(blob.id).toString("hex")}`);
    expect(new Set(ids).size).toBe(ids.length);
    expect(first.blobsNew).toBe(ids.length);
    expect(ids.length).toBeGreaterThan(105);
    expect(ids.length).toBeLessThan(125);
    const second = await backup();
    expect(second).toEqual({ blobsNew: 0, tree: first.tree });
  });

  test("has all blobs of a pack in one index file, trees and data in packs of their own", async () => {
    const repository = new BareRepository(new MemoryBackend(), pool);
    const writer = await repository.writer({ packBytes: 256 << 10 });
    const entries = Array.from({ length: 300 }, (_, at) => streamEntry(`f${1000 + at}`, () => [noise(5000, at)]));
    const tree = await writer.storeTree(streamOf([directoryEntry(""), ...entries]));
    await writer.saveSnapshot(snapshotOf(tree.id));
    const packs = await repository.indexedPacks();
    expect(packs.length).toBeGreaterThan(5);
    expect(new Set(packs.map(({ id }) => id)).size).toBe(packs.length);
    for (const { blobs } of packs) expect(new Set(blobs.map(({ type }) => type)).size).toBe(1);
    expect(writer.stats()).toMatchObject({ blobsNew: 301 });
    await writer.close();
  });

  test("writes an index file whenever 256 packs wait for one, so that a crash loses little", async () => {
    const repository = new BareRepository(new MemoryBackend(), pool);
    const writer = await repository.writer({ packBytes: 4096 });
    const entries = Array.from({ length: 600 }, (_, at) => streamEntry(`f${1000 + at}`, () => [noise(5000, at)]));
    const tree = await writer.storeTree(streamOf([directoryEntry(""), ...entries]));
    expect((await repository.files.ids("index")).length).toBeGreaterThan(0);
    await writer.saveSnapshot(snapshotOf(tree.id));
    await writer.close();
    const packs = await repository.indexedPacks();
    expect(packs.length).toBeGreaterThan(600);
    expect(new Set(packs.map(({ id }) => id)).size).toBe(packs.length);
    expect((await repository.files.ids("index")).length).toBe(3);
  });
});

describe("storing a stream", () => {
  test("gives back an error of the stream as it is, and goes on working", async () => {
    const repository = new BareRepository(new MemoryBackend(), pool);
    const writer = await repository.writer();
    const broken = new Error("the dump failed");
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield noise(3 << 20, 1);
      throw broken;
    }
    await expect(writer.storeStream(failing())).rejects.toBe(broken);
    expect((await writer.storeStream(streamOf([Buffer.from("a"), Buffer.alloc(0)]))).sizeBytes).toBe(1);
    expect(await writer.storeStream(streamOf([]))).toEqual({ sizeBytes: 0, blobIds: Buffer.alloc(0) });
    await writer.close();
  });

  test("pulls no faster than a slow storage takes it", async () => {
    let saving = 0;
    let most = 0;
    let open: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const slow = new FaultyBackend(new MemoryBackend(), {
      before: async (operation) => {
        if (operation !== "save") return;
        saving += 1;
        most = Math.max(most, saving);
        await gate;
      },
      after: (operation) => {
        if (operation === "save") saving -= 1;
      },
    });
    const repository = new BareRepository(slow, pool);
    const writer = await repository.writer({ packBytes: 1 << 20 });
    let pulled = 0;
    let stalledAt = -1;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let piece = 0; piece < 160; piece += 1) {
        pulled += 1 << 20;
        yield noise(1 << 20, piece);
      }
    }
    const stored = writer.storeStream(endless());
    // Nothing is saved: sooner or later nothing is pulled any more. Seen when many turns pass without a pull.
    for (let quiet = 0; quiet < 40;) {
      const before = pulled;
      await new Promise((resolve) => setTimeout(resolve, 5));
      quiet = before === pulled && pulled > 0 ? quiet + 1 : 0;
      stalledAt = pulled;
    }
    expect(stalledAt).toBeLessThan(60 << 20);
    expect(most).toBeLessThanOrEqual(pool.size + 1);
    open?.();
    expect((await stored).sizeBytes).toBe(160 << 20);
    await writer.close();
  });
});

describe("storing a tree", () => {
  const refused = async (entries: Iterable<Entry>): Promise<unknown> => {
    const repository = new BareRepository(new MemoryBackend(), pool);
    const writer = await repository.writer();
    try {
      return await writer.storeTree(streamOf(entries)).catch((error: unknown) => error);
    } finally {
      await writer.close();
    }
  };
  const empty = { sizeBytes: 0, blobIds: new Uint8Array(0) };

  test.each<[string, Entry[]]>([
    ["without a root", []],
    ["that begins below the root", [directoryEntry("a")]],
    [
      "whose root is a file",
      [{ path: Buffer.alloc(0), metadata: fileMetadata, content: { kind: "stored", content: empty } }],
    ],
    ["out of order", [directoryEntry(""), storedEntry("b", empty), storedEntry("a", empty)]],
    ["with an entry twice", [directoryEntry(""), storedEntry("a", empty), storedEntry("a", empty)]],
    ["with an entry in a directory that is not there", [directoryEntry(""), storedEntry("a/b", empty)]],
    ["with an entry in a file", [directoryEntry(""), storedEntry("a", empty), storedEntry("a/b", empty)]],
    [
      "that comes back to a directory",
      [directoryEntry(""), directoryEntry("a"), storedEntry("a.b", empty), storedEntry("a/b", empty)],
    ],
    ["that leads upwards", [directoryEntry(""), storedEntry("..", empty)]],
    ["with an empty name", [directoryEntry(""), directoryEntry("a"), storedEntry("a//b", empty)]],
  ])("refuses a tree %s", async (_, entries) => {
    expect(await refused(entries)).toMatchObject({ code: "ENTRY_UNSAFE" });
  });

  test("fails for a frozen file that is missing", async () => {
    expect(await refused([directoryEntry(""), localEntry("a", "/nonexistent/file")])).toMatchObject({
      code: "ENTRY_UNREADABLE",
    });
  });

  test("counts files, directories and bytes, and shares equal trees", async () => {
    await using folder = await temporaryFolder();
    writeFileSync(join(folder.path, "x"), "hello");
    linkSync(join(folder.path, "x"), join(folder.path, "y"));
    const repository = new BareRepository(new MemoryBackend(), pool);
    const writer = await repository.writer();
    const entries = [
      directoryEntry(""),
      directoryEntry("a"),
      directoryEntry("a/deep"),
      localEntry("a/deep/f", join(folder.path, "x")),
      streamEntry("a.txt", () => [Buffer.from("text")]),
      directoryEntry("b"),
      directoryEntry("b/deep"),
      localEntry("b/deep/f", join(folder.path, "y")),
    ];
    const tree = await writer.storeTree(streamOf(entries));
    expect(tree).toMatchObject({ files: 3, directories: 5, bytes: 14 });
    await writer.saveSnapshot(snapshotOf(tree.id));
    // hello, text, deep, a (equal to b), root
    expect(writer.stats().blobsNew).toBe(5);
    await writer.close();
    const trees = await repository.trees();
    const names = (await trees.children(tree.id)).map(({ name }) => name.toString());
    expect(names).toEqual(["a", "a.txt", "b"]);
  });

  test("gives the previous backup's entries with their stamps, but none whose blobs are gone", async () => {
    const repository = new BareRepository(new MemoryBackend(), pool);
    const writer = await repository.writer();
    const kept = await writer.storeStream(streamOf([Buffer.from("kept")]));
    const lost = { sizeBytes: 4, blobIds: Buffer.alloc(32, 1) };
    const entries = [
      directoryEntry(""),
      directoryEntry("m"),
      directoryEntry("m/sub"),
      storedEntry("m/sub/kept", kept),
      storedEntry("m/sub/lost", lost),
    ];
    const tree = await writer.storeTree(streamOf(entries));
    const snapshot = await writer.saveSnapshot(snapshotOf(tree.id));
    await writer.close();
    const next = await repository.writer();
    const previous = await next.previous(snapshot, "m");
    const listed = await previous?.list(Buffer.from("sub"));
    expect([...(listed?.keys() ?? [])]).toEqual(["kept"]);
    expect(listed?.get("kept")).toMatchObject({
      path: Buffer.from("sub/kept"),
      content: { sizeBytes: 4 },
      stamp: { sizeBytes: 4, mtimeNs: fileMetadata.mtimeNs },
    });
    expect([...((await previous?.list(Buffer.alloc(0)))?.keys() ?? [])]).toEqual(["sub"]);
    expect(await previous?.list(Buffer.from("sub/none"))).toBeUndefined();
    expect(await next.previous(snapshot, "none")).toBeUndefined();
    await next.close();
  });
});
