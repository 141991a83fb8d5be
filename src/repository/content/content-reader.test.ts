import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { Entry, FileToWrite, StoredContent } from "../../component/index.ts";
import { FaultyBackend, LocalBackend, MemoryBackend } from "../../storage/index.ts";
import { WorkerPool } from "../workers/worker-pool.ts";
import {
  BareRepository,
  collect,
  directoryEntry,
  localEntry,
  noise,
  snapshotOf,
  streamEntry,
  streamOf,
  temporaryFolder,
} from "../writer/conformance/bare-repository.ts";
import { mixedContent, storeContents } from "./conformance/stored-contents.ts";

const pool = new WorkerPool({ threads: 2 });
afterAll(() => pool.close());

const contents = [
  Buffer.alloc(0),
  Buffer.from("x"),
  noise(4096, 1),
  Buffer.alloc(10_000),
  Buffer.concat([Buffer.alloc(5_000_000), Buffer.from("end")]),
  mixedContent(50),
  noise(5000, 2),
  Buffer.from("x"),
  Buffer.alloc(12 << 20),
];

describe.each(["memory", "local"] as const)("contents in a repository on a %s backend", (kind) => {
  test("come back as they were, as files and as streams", async () => {
    await using folder = await temporaryFolder();
    const backend = kind === "memory" ? new MemoryBackend() : new LocalBackend(join(folder.path, "repository"));
    await backend.create();
    const repository = new BareRepository(backend, pool);
    const stored = await storeContents(repository, contents);
    const reader = await repository.reader();
    const files = stored.map((content, at) => ({ path: Buffer.from(join(folder.path, `out${at}`)), content }));
    const results = await reader.writeFiles(files);
    expect(results).toEqual(files.map(() => ({ status: "written", reusedBytes: 0 })));
    for (const [at, expected] of contents.entries()) {
      const path = join(folder.path, `out${at}`);
      expect(readFileSync(path).equals(expected), `file ${at}`).toBe(true);
      expect(statSync(path).mode & 0o7777).toBe(0o600);
      const content = stored[at] as StoredContent;
      expect((await collect(reader.read(content))).equals(expected), `stream ${at}`).toBe(true);
    }
    // Zeros take no room: 512-byte blocks.
    expect(statSync(join(folder.path, "out4")).blocks).toBeLessThanOrEqual(16);
    expect(statSync(join(folder.path, "out8")).blocks).toBe(0);
    await reader.close();
  });

  test("of random trees come back, names and bytes", async () => {
    const sizes = fc.oneof(fc.integer({ min: 0, max: 9000 }), fc.integer({ min: 500_000, max: 1_300_000 }));
    const file = fc.record({
      size: sizes,
      seed: fc.integer({ min: 0, max: 5 }),
      kind: fc.constantFrom("file", "stream"),
    });
    const tree = fc.dictionary(
      fc.stringMatching(/^[a-z.\- é]{1,3}$/),
      fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), file),
    );
    await fc.assert(
      fc.asyncProperty(tree, async (directories) => {
        await using folder = await temporaryFolder();
        const backend = kind === "memory" ? new MemoryBackend() : new LocalBackend(join(folder.path, "repository"));
        await backend.create();
        const repository = new BareRepository(backend, pool);
        const entries: Entry[] = [directoryEntry("")];
        const expected = new Map<string, Buffer>();
        const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
        const names = Object.keys(directories).filter((name) => !/^\.+$/.test(name));
        for (const name of names.sort(byBytes)) {
          entries.push(directoryEntry(name));
          for (const leaf of Object.keys(directories[name] ?? {}).sort(byBytes)) {
            const { size, seed, kind } = directories[name]?.[leaf] ?? { size: 0, seed: 0, kind: "file" };
            const bytes = noise(size, seed);
            const source = join(folder.path, `s${expected.size}`);
            writeFileSync(source, bytes);
            expected.set(`${name}/${leaf}`, bytes);
            if (kind === "file") entries.push(localEntry(`${name}/${leaf}`, source));
            else entries.push(streamEntry(`${name}/${leaf}`, () => [bytes.subarray(0, 1000), bytes.subarray(1000)]));
          }
        }
        const writer = await repository.writer({ packBytes: 1 << 20 });
        const stored = await writer.storeTree(streamOf(entries));
        await writer.saveSnapshot(snapshotOf(stored.id));
        await writer.close();
        expect(stored.files).toBe(expected.size);
        const trees = await repository.trees();
        const reader = await repository.reader();
        const files: FileToWrite[] = [];
        const found: string[] = [];
        for (const directory of await trees.children(stored.id)) {
          for (const child of await trees.children(directory.subtree ?? "")) {
            const path = Buffer.from(join(folder.path, `out${files.length}`));
            files.push({ path, content: child.content ?? { sizeBytes: -1, blobIds: new Uint8Array() } });
            found.push(`${directory.name.toString()}/${child.name.toString()}`);
          }
        }
        expect(found).toEqual([...expected.keys()]);
        await reader.writeFiles(files);
        await reader.close();
        for (const [at, path] of found.entries()) {
          expect(readFileSync(join(folder.path, `out${at}`)).equals(expected.get(path) ?? Buffer.alloc(0))).toBe(true);
        }
      }),
      { numRuns: 8 },
    );
  });
});

describe("damage", () => {
  test.each([
    ["a flipped bit", 1000],
    ["a flipped bit of the first byte", 0],
  ])("such as %s in a pack is never returned as good data", async (_, position) => {
    await using folder = await temporaryFolder();
    const memory = new MemoryBackend();
    const [content] = await storeContents(new BareRepository(memory, pool), [mixedContent(70)]);
    const flipped = new FaultyBackend(memory, {
      alter: (handle, bytes) => {
        if (handle.type !== "data") return bytes;
        const damaged = Buffer.from(bytes);
        damaged[position] = (damaged[position] ?? 0) ^ 1;
        return damaged;
      },
    });
    const reader = await new BareRepository(flipped, pool).reader();
    const path = Buffer.from(join(folder.path, "out"));
    const file = { path, content: content as StoredContent };
    await expect(reader.writeFiles([file])).rejects.toMatchObject({ code: "REPOSITORY_DAMAGED" });
    await expect(collect(reader.read(file.content))).rejects.toMatchObject({ code: "REPOSITORY_DAMAGED" });
    await reader.close();
  });

  test("such as a missing or shortened pack, an unknown blob or a wrong size is named", async () => {
    await using folder = await temporaryFolder();
    const memory = new MemoryBackend();
    const [stored] = await storeContents(new BareRepository(memory, pool), [noise(10_000, 3)]);
    const content = stored as StoredContent;
    const reader = await new BareRepository(memory, pool).reader();
    let tries = 0;
    const attempt = async (bad: StoredContent): Promise<void> => {
      const file = { path: Buffer.from(join(folder.path, `out${tries}`)), content: bad };
      tries += 1;
      await expect(reader.writeFiles([file])).rejects.toMatchObject({ code: "REPOSITORY_DAMAGED" });
      await expect(collect(reader.read(bad))).rejects.toMatchObject({ code: "REPOSITORY_DAMAGED" });
    };
    await attempt({ sizeBytes: 5, blobIds: Buffer.alloc(32, 1) });
    await attempt({ ...content, sizeBytes: 9_999 });
    for await (const { name, sizeBytes } of memory.list("data")) {
      const bytes = await memory.load({ type: "data", name });
      await memory.remove({ type: "data", name });
      await memory.save({ type: "data", name }, bytes.subarray(0, Math.min(100, sizeBytes)));
    }
    await attempt(content);
    for await (const { name } of memory.list("data")) await memory.remove({ type: "data", name });
    await attempt(content);
    await reader.close();
  });
});

describe("writing files", () => {
  test("tells which could not be written, and writes the others", async () => {
    await using folder = await temporaryFolder();
    const repository = new BareRepository(new MemoryBackend(), pool);
    const [empty, small, large] = await storeContents(repository, [
      Buffer.alloc(0),
      Buffer.from("small"),
      noise(3 << 20, 4),
    ]);
    writeFileSync(join(folder.path, "there"), "untouched");
    symlinkSync("elsewhere", join(folder.path, "link"));
    const reader = await repository.reader();
    const names = ["there", "link", "missing/file", "fine"];
    for (const content of [empty, small, large] as StoredContent[]) {
      const files = names.map((name) => ({
        path: Buffer.from(join(folder.path, name === "fine" ? `fine${content.sizeBytes}` : name)),
        content,
      }));
      const results = await reader.writeFiles(files);
      const codes = results.map((result) => (result.status === "failed" ? result.code : result.status));
      expect(codes).toEqual(["EEXIST", "EEXIST", "ENOENT", "written"]);
      expect(statSync(join(folder.path, `fine${content.sizeBytes}`)).size).toBe(content.sizeBytes);
    }
    expect(readFileSync(join(folder.path, "there"), "utf8")).toBe("untouched");
    expect(existsSync(join(folder.path, "elsewhere"))).toBe(false);
    await reader.close();
  });

  test("gives files owner, mode and time to the nanosecond, and says where only root may give away a file", async () => {
    await using folder = await temporaryFolder();
    const contents = [Buffer.from("small"), noise(40_000, 5)];
    const repository = new BareRepository(new MemoryBackend(), pool);
    const [small, middle] = await storeContents(repository, contents);
    const isRoot = process.geteuid?.() === 0;
    const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
    const foreign = { uid: 0xffff_ffff - 1, gid: own.gid };
    const wanted = [
      { ...own, mode: 0o4751, mtimeNs: 1_600_000_000_123_456_789n },
      { ...own, mode: 0o400, mtimeNs: -1_234_567_890_123_456_789n },
      { ...foreign, mode: 0o4755, mtimeNs: 1n },
    ];
    const reader = await repository.reader();
    const files = wanted.map((properties, at) => ({
      path: Buffer.from(join(folder.path, `out${at}`)),
      content: (at === 1 ? middle : small) as StoredContent,
      properties,
    }));
    const results = await reader.writeFiles(files);
    await reader.close();
    const last = isRoot ? "set" : "owner-missed";
    expect(results.map((result) => result.status === "written" && result.properties)).toEqual(["set", "set", last]);
    for (const [at, { mode, mtimeNs }] of wanted.entries()) {
      const stat = lstatSync(join(folder.path, `out${at}`), { bigint: true });
      expect(stat.mtimeNs).toBe(mtimeNs);
      expect(Number(stat.mode) & 0o7777).toBe(at === 2 && !isRoot ? 0o755 : mode);
    }
  });

  test("leaves no file open, also after an error", async () => {
    await using folder = await temporaryFolder();
    const openFiles = (): number => readdirSync("/proc/self/fd").length;
    const memory = new MemoryBackend();
    const stored = await storeContents(new BareRepository(memory, pool), [
      mixedContent(1),
      mixedContent(2),
      mixedContent(3),
    ]);
    let broken = false;
    const backend = new FaultyBackend(memory, {
      alter: (handle, bytes) => (broken && handle.type === "data" ? Buffer.alloc(bytes.length) : bytes),
    });
    const reader = await new BareRepository(backend, pool).reader();
    const before = openFiles();
    const batch = (round: number): FileToWrite[] =>
      stored.map((content, at) => ({ path: Buffer.from(join(folder.path, `${round}-${at}`)), content }));
    await reader.writeFiles(batch(1));
    expect(openFiles()).toBe(before);
    broken = true;
    await expect(reader.writeFiles(batch(2))).rejects.toMatchObject({ code: "REPOSITORY_DAMAGED" });
    const candidate = Buffer.from(join(folder.path, "none"));
    const withCandidates = batch(3).map((file) => ({ ...file, candidate }));
    await expect(reader.writeFiles(withCandidates)).rejects.toMatchObject({ code: "REPOSITORY_DAMAGED" });
    expect(openFiles()).toBe(before);
    await reader.close();
  });

  test("says that the target is full", async () => {
    await using folder = await temporaryFolder();
    const mount = join(folder.path, "small");
    mkdirSync(mount);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", mount]);
    try {
      const repository = new BareRepository(new MemoryBackend(), pool);
      const stored = await storeContents(repository, [noise(400_000, 1), noise(3 << 20, 2)]);
      const reader = await repository.reader();
      for (const content of stored) {
        const files = [1, 2, 3].map((at) => ({
          path: Buffer.from(join(mount, `${content.sizeBytes}-${at}`)),
          content,
        }));
        await expect(reader.writeFiles(files)).rejects.toMatchObject({ code: "TARGET_FULL" });
      }
      await reader.close();
    } finally {
      execFileSync("umount", [mount]);
    }
  });

  test("stops when it is cancelled", async () => {
    await using folder = await temporaryFolder();
    const repository = new BareRepository(new MemoryBackend(), pool);
    const [content] = (await storeContents(repository, [mixedContent(9)])) as [StoredContent];
    const reader = await repository.reader();
    const stop = AbortSignal.abort();
    const file = { path: Buffer.from(join(folder.path, "out")), content };
    await expect(reader.writeFiles([file], stop)).rejects.toMatchObject({ code: "INTERRUPTED" });
    await expect(collect(reader.read(content, stop))).rejects.toMatchObject({ code: "INTERRUPTED" });
    const abort = new AbortController();
    let pieces = 0;
    const read = async (): Promise<void> => {
      for await (const _ of reader.read(content, abort.signal)) {
        pieces += 1;
        abort.abort();
      }
    };
    await expect(read()).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect(pieces).toBeLessThan(6);
    // Left early, it lets go of what it was loading.
    for await (const _ of reader.read(content)) break;
    await reader.close();
  });
});
