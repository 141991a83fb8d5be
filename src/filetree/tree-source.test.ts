import {
  closeSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SourceId } from "../base/index.ts";
import type { ContentStore, FileToStore, FreezePoint, PreviousEntries, StoreFileResult } from "../component/index.ts";
import { fileStamp, MemoryContents } from "../component/index.ts";
import { makeTestContext, type MemoryBackup, storeEntries, takeBackup } from "../component/conformance/index.ts";
import { TreeSource, type TreeSourceOptions } from "./tree-source.ts";

const id = "mount:app/media" as SourceId;
let base: string;
let root: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "holdfast-source-"));
  root = join(base, "media");
  mkdirSync(root);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const source = (options: Partial<TreeSourceOptions> = {}): TreeSource =>
  new TreeSource({ id, kind: "mount", root, unusable: "MOUNT_UNUSABLE", ...options });

async function textOf(backup: MemoryBackup, path: string): Promise<string | undefined> {
  const entry = backup.entries.find((entry) => entry.path.toString() === path);
  if (entry?.content === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of backup.contents.read(entry.content)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** A memory store that records what it was asked for, and fails for some paths. */
class RecordingStore implements ContentStore {
  readonly contents = new MemoryContents();
  readonly asked: string[] = [];
  readonly #failing: ReadonlyMap<string, string>;

  constructor(failing: Readonly<Record<string, string>> = {}) {
    this.#failing = new Map(Object.entries(failing));
  }

  async storeFiles(files: readonly FileToStore[], signal?: AbortSignal): Promise<readonly StoreFileResult[]> {
    this.asked.push(...files.map(({ path }) => path.toString()));
    const results = await this.contents.storeFiles(files, signal);
    return results.map((result, at) => {
      const code = this.#failing.get((files[at] as FileToStore).path.toString());
      return code === undefined ? result : { status: "failed", code, message: code };
    });
  }

  storeStream(stream: AsyncIterable<Uint8Array>, signal?: AbortSignal): ReturnType<ContentStore["storeStream"]> {
    return this.contents.storeStream(stream, signal);
  }
}

describe("freezing a tree", () => {
  it("looks only at what changed, however many files there are", async () => {
    for (let n = 0; n < 10_000; n += 1) {
      if (n % 100 === 0) mkdirSync(join(root, `d${n / 100}`));
      writeFileSync(join(root, `d${Math.floor(n / 100)}`, `f${n}`), `${n}`);
    }
    let point: FreezePoint | undefined;
    const backup = await takeBackup(source(), {
      afterPrepare: () => {
        writeFileSync(join(root, "d1/f100"), "changed");
        writeFileSync(join(root, "d2/new"), "new");
        unlinkSync(join(root, "d3/f300"));
        return Promise.resolve();
      },
      afterFreeze: (frozen) => {
        point = frozen;
        return Promise.resolve();
      },
    });
    expect(point?.facts).toMatchObject({ method: "watch", filesChanged: 2 });
    expect(point?.facts["entriesExamined"]).toBeLessThan(20);
    expect(backup.description.counts).toMatchObject({ files: 10_000, directories: 101 });
    expect(backup.warnings).toEqual([]);
  });

  it("sees a write through a name of the file that is outside the tree", async () => {
    writeFileSync(join(root, "inside"), "old");
    linkSync(join(root, "inside"), join(base, "outside"));
    const backup = await takeBackup(source(), {
      afterPrepare: async () => writeFileSync(join(base, "outside"), "new"),
    });
    expect(await textOf(backup, "inside")).toBe("new");
  });

  it("sees a write through a memory map, which raises no event", async () => {
    const path = join(root, "mapped");
    writeFileSync(path, "old text");
    const libc = koffi.load(null);
    const map = libc.func("mmap", "void *", ["void *", "uint64", "int", "int", "int", "int64"]);
    const unmap = libc.func("munmap", "int", ["void *", "uint64"]);
    const copy = libc.func("memcpy", "void *", ["void *", "void *", "uint64"]);
    const fd = openSync(path, "r+");
    const address: unknown = map(null, 8, 3, 1, fd, 0);
    closeSync(fd);
    try {
      // Already written to, so that the next write does not even fault.
      copy(address, Buffer.from("mid text"), 8);
      const backup = await takeBackup(source(), {
        afterPrepare: async () => void copy(address, Buffer.from("new text"), 8),
      });
      expect(await textOf(backup, "mapped")).toBe("new text");
    } finally {
      unmap(address, 8);
    }
  });

  it("sees a change of content that keeps size and modification time", async () => {
    const path = join(root, "file");
    writeFileSync(path, "old");
    const time = new Date(1_700_000_000_000);
    utimesSync(path, time, time);
    const backup = await takeBackup(source({ watch: "never" }), {
      afterPrepare: async () => {
        writeFileSync(path, "new");
        utimesSync(path, time, time);
      },
    });
    expect(await textOf(backup, "file")).toBe("new");
  });

  it("compares the whole tree and says so where the kernel lost count between prepare and freeze", async () => {
    for (let n = 0; n < 30; n += 1) writeFileSync(join(root, `f${n}`), "old");
    const backup = await takeBackup(source({ watchQueueLimit: 10 }), {
      afterPrepare: async () => {
        for (let n = 0; n < 30; n += 1) writeFileSync(join(root, `f${n}`), "new");
      },
      afterFreeze: async (point) => expect(point.facts["method"]).toBe("scan"),
    });
    for (let n = 0; n < 30; n += 1) expect(await textOf(backup, `f${n}`)).toBe("new");
    expect(backup.warnings.map(({ kind }) => kind)).toContain("watch-overflow");
  });

  it("gives up with the facts when what changed cannot be copied within the deadline", async () => {
    await using context = await makeTestContext();
    const tree = source();
    await tree.prepare(context);
    for (let n = 0; n < 500; n += 1) writeFileSync(join(root, `f${n}`), "x".repeat(4096));
    await expect(tree.freeze(5)).rejects.toMatchObject({
      code: "FREEZE_FAILED",
      facts: { source: id, deadlineMs: 5 },
    });
    await tree.dispose();
  });

  it("fails if the folder itself was moved away", async () => {
    await using context = await makeTestContext();
    const tree = source();
    await tree.prepare(context);
    renameSync(root, join(base, "elsewhere"));
    await expect(tree.freeze(5000)).rejects.toMatchObject({ code: "FREEZE_FAILED" });
    await tree.dispose();
  });

  it("names the disk of the state folder when that is full, not the folder that was read", async () => {
    writeFileSync(join(root, "file"), "one");
    await using context = await makeTestContext();
    symlinkSync("/dev/full", join(context.workDirectory, "listing-1"));
    const full = source();
    try {
      const preparing = full.prepare(context);
      await expect(preparing).rejects.toMatchObject({
        code: "TARGET_FULL",
        message: expect.stringContaining(context.workDirectory) as unknown,
        remedy: expect.stringContaining("disk of the state folder") as unknown,
      });
    } finally {
      await full.dispose();
    }
  });

  it("passes on a failure of the repository that met the rounds after prepare", async () => {
    await using context = await makeTestContext();
    let fail = false;
    let failures = 0;
    const store: ContentStore = {
      storeFiles: async (files, signal) => {
        if (!fail) return context.contents.storeFiles(files, signal);
        failures += 1;
        throw new Error("the repository is gone");
      },
      storeStream: (stream, signal) => context.contents.storeStream(stream, signal),
    };
    const tree = source();
    await tree.prepare({ ...context, store });
    fail = true;
    // One file only: more are stored in batches, and a freeze may come before the failed one has its turn.
    writeFileSync(join(root, "file"), "x");
    await expect.poll(() => failures, { timeout: 10_000 }).toBeGreaterThan(0);
    await expect(tree.freeze(5000)).rejects.toThrow("the repository is gone");
    await tree.dispose();
  });
});

describe("preparing a tree", () => {
  it("does not open files that the previous backup has, and reads those that changed", async () => {
    for (const name of ["same", "changed", "sub"]) {
      if (name === "sub") mkdirSync(join(root, name));
      else writeFileSync(join(root, name), name);
    }
    writeFileSync(join(root, "sub/same"), "same below");
    const first = await takeBackup(source());
    writeFileSync(join(root, "changed"), "CHANGED");
    const previous: PreviousEntries = {
      list: async (directory) => {
        const found = new Map<
          string,
          MemoryBackup["entries"][number] & { stamp?: Awaited<ReturnType<typeof fileStamp>> }
        >();
        for (const entry of first.entries) {
          const path = entry.path.toString();
          const parent = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
          if (path === "" || parent !== directory.toString()) continue;
          const { mtimeNs, ctimeNs, inode } = entry.metadata;
          const sizeBytes = entry.content?.sizeBytes ?? 0;
          found.set(path.slice(parent === "" ? 0 : parent.length + 1), {
            ...entry,
            stamp: { sizeBytes, mtimeNs, ctimeNs: await exactCtime(path, ctimeNs), inode },
          });
        }
        return found;
      },
      compare: async (directory) => {
        const entries = await previous.list(directory);
        return {
          isSame: () => false,
          differs: (name) => entries?.get(name.toString("latin1")),
          nextDirectory: () => undefined,
          end: () => undefined,
        };
      },
    };
    const store = new RecordingStore();
    await using context = await makeTestContext({ contents: first.contents });
    const tree = source();
    await tree.prepare({ ...context, store, previous });
    // More than once, perhaps: it was written a moment ago.
    expect(new Set(store.asked.map((path) => path.slice(root.length + 1)))).toEqual(new Set(["changed"]));
    await tree.freeze(5000);
    const entries = await storeEntries(tree.read(context.signal), first.contents);
    expect(entries.map(({ path }) => path.toString())).toEqual(["", "changed", "same", "sub", "sub/same"]);
    await tree.dispose();
  });

  /** A backup of a file that was written just before lowers its change time, so that the next one reads it again. */
  async function exactCtime(path: string, ctimeNs: bigint): Promise<bigint> {
    const stamp = await fileStamp(join(root, path));
    return stamp.ctimeNs - ctimeNs === 1n ? stamp.ctimeNs : ctimeNs;
  }

  it("leaves out what it cannot read, names it, and keeps the rest", async () => {
    writeFileSync(join(root, "good"), "good");
    writeFileSync(join(root, "secret"), "secret");
    writeFileSync(join(root, "broken"), "broken");
    await using context = await makeTestContext();
    const store = new RecordingStore({ [join(root, "secret")]: "EACCES", [join(root, "broken")]: "EIO" });
    const tree = source();
    await tree.prepare({ ...context, store });
    await tree.freeze(5000);
    const entries = await storeEntries(tree.read(context.signal), store.contents);
    expect(entries.map(({ path }) => path.toString())).toEqual(["", "good"]);
    expect(context.warnings.map(({ kind, facts }) => [kind, facts])).toEqual([
      ["file-unreadable", { path: "broken", error: "EIO" }],
      ["file-unreadable", { path: "secret", error: "EACCES" }],
    ]);
    await tree.dispose();
  });

  it("does not follow a link that takes a directory's place while it runs", async () => {
    mkdirSync(join(base, "private"));
    writeFileSync(join(base, "private/key"), "secret");
    mkdirSync(join(root, "dir"));
    writeFileSync(join(root, "dir/key"), "public");
    const contents = new MemoryContents();
    const store: ContentStore = {
      storeFiles: (files, signal) => {
        if (lstatSync(join(root, "dir")).isDirectory()) {
          renameSync(join(root, "dir"), join(root, "moved"));
          symlinkSync(join(base, "private"), join(root, "dir"));
        }
        return contents.storeFiles(files, signal);
      },
      storeStream: (stream, signal) => contents.storeStream(stream, signal),
    };
    await using context = await makeTestContext({ contents });
    const tree = source();
    await tree.prepare({ ...context, store });
    await tree.freeze(5000);
    const entries = await storeEntries(tree.read(context.signal), contents);
    expect(entries.map(({ path, metadata }) => `${path.toString()} ${metadata.type}`)).toEqual([
      " dir",
      "dir symlink",
      "moved dir",
      "moved/key file",
    ]);
    await tree.dispose();
  });

  it("leaves out what is excluded, apart, or staged by a restore", async () => {
    for (const path of ["cache/pages/home", "cache/keep.txt", "logs/app.log", "mount/file", "data/x.tmp", "data/x"]) {
      mkdirSync(join(root, path, ".."), { recursive: true });
      writeFileSync(join(root, path), "x");
    }
    mkdirSync(join(root, "data/.holdfast-abcdefghijkl-abcdefgh-new/inner"), { recursive: true });
    const options = {
      exclude: ["var/cache/pages/**", "**/*.log", "var/**/*.tmp"],
      excludeBase: "var",
      apart: ["mount"],
    };
    const { entries } = await takeBackup(source(options));
    expect(entries.map(({ path }) => path.toString())).toEqual([
      "",
      "cache",
      "cache/keep.txt",
      "cache/pages",
      "data",
      "data/x",
      "logs",
    ]);
  });

  it("goes on with a file that is longer than its listing block, and with a sparse one", async () => {
    const fd = openSync(join(root, "sparse"), "w");
    ftruncateSync(fd, 50_000_000);
    closeSync(fd);
    const { description } = await takeBackup(source());
    expect(description.counts["bytes"]).toBe(50_000_000);
    expect(description.facts["diskBytes"]).toBeLessThan(1_000_000);
  });
});
