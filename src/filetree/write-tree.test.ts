import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SourceId } from "../base/index.ts";
import { type EntryMetadata, generatedMetadata, MemoryContents, type StoredEntry } from "../component/index.ts";
import { takeBackup } from "../component/conformance/index.ts";
import { makeNode, setModificationTime } from "./posix/files.ts";
import { readXattrs, writeXattr } from "./posix/xattrs.ts";
import { removeTree } from "./remove-tree.ts";
import { TreeSource } from "./tree-source.ts";
import { writeTree } from "./write-tree.ts";

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "holdfast-write-"));
});
afterEach(() => removeTree(Buffer.from(base)));

async function* iterate(entries: readonly StoredEntry[]): AsyncIterable<StoredEntry> {
  for (const entry of entries) yield entry;
}

const warn = (warning: { readonly message: string }): never => {
  throw new Error(`unexpected warning: ${warning.message}`);
};

/** All that can be seen of a tree but inode numbers and change times. */
function describeTree(root: Buffer): string[] {
  const lines: string[] = [];
  const inodes = new Map<bigint, string>();
  const visit = (path: Buffer, shown: string): void => {
    const stat = lstatSync(path, { bigint: true });
    const first = inodes.get(stat.ino) ?? shown;
    inodes.set(stat.ino, first);
    const text = stat.isFile()
      ? readFileSync(path, "latin1").length < 100
        ? readFileSync(path, "latin1")
        : readFileSync(path).length
      : stat.isSymbolicLink()
        ? readlinkSync(path, { encoding: "buffer" }).toString("latin1")
        : "";
    const xattrs = readXattrs(path).map(({ name, value }) => `${name}=${Buffer.from(value).toString("hex")}`);
    const same = stat.isDirectory() ? "" : `${stat.nlink} ${first}`;
    lines.push(
      `${shown} ${stat.mode.toString(8)} ${stat.uid}:${stat.gid} ${stat.mtimeNs} ${stat.rdev} ${same} ${text} ${xattrs.join(",")}`,
    );
    if (!stat.isDirectory()) return;
    for (const name of readdirSync(path, { encoding: "buffer" }).sort((a, b) => Buffer.compare(a, b))) {
      visit(Buffer.concat([path, Buffer.from("/"), name]), `${shown}/${name.toString("latin1")}`);
    }
  };
  visit(root, "");
  return lines;
}

describe("writing a tree", () => {
  it("gives back everything a tree can hold: names, links, times, modes, owners, attributes, ACLs, holes", async () => {
    const root = join(base, "from");
    mkdirSync(join(root, "a/b"), { recursive: true });
    mkdirSync(join(root, "z"));
    writeFileSync(join(root, "a/file"), "text");
    writeFileSync(Buffer.concat([Buffer.from(`${root}/bytes-`), Buffer.of(0xff, 0x0a, 0xc3)]), "odd name");
    linkSync(join(root, "a/file"), join(root, "z/hard"));
    linkSync(join(root, "a/file"), join(root, "a/b/hard"));
    symlinkSync(Buffer.from([0x2f, 0xfe, 0x80]), join(root, "link"));
    symlinkSync("nowhere", join(root, "a/dangling"));
    writeFileSync(join(root, "sparse"), "start");
    truncateSync(join(root, "sparse"), 3_000_000);
    writeFileSync(join(root, "setuid"), "program");
    chmodSync(join(root, "setuid"), 0o4751);
    chmodSync(join(root, "z"), 0o3555);
    makeNode(Buffer.from(join(root, "fifo")), "fifo", 0n);
    writeXattr(Buffer.from(join(root, "a/file")), { name: "user.origin", value: Buffer.from("shop") });
    writeXattr(Buffer.from(join(root, "a")), { name: "user.empty", value: Buffer.alloc(0) });
    execFileSync("setfacl", ["-m", "u:65534:rw,g:12:r", join(root, "a/file")]);
    execFileSync("setfacl", ["-d", "-m", "u:65534:rwx", join(root, "a/b")]);
    for (const [path, time] of [
      ["link", 1_600_000_000_123_456_789n],
      ["a/file", -1_234_567_890_123_456_789n],
      ["a/b", 1n],
      ["", 1_700_000_000_999_999_999n],
    ] as const) {
      setModificationTime(Buffer.from(join(root, path)), time);
    }
    const before = describeTree(Buffer.from(root));
    const source = new TreeSource({ id: "mount:a/b" as SourceId, kind: "mount", root, unusable: "MOUNT_UNUSABLE" });
    const backup = await takeBackup(source);
    const to = join(base, "to");
    // The rules of the folder around it must not seep in.
    execFileSync("setfacl", ["-d", "-m", "u:12:rwx", base]);
    const report = await writeTree(Buffer.from(to), iterate(backup.entries), backup.contents, { warn });
    expect(describeTree(Buffer.from(to))).toEqual(before);
    expect(report).toMatchObject({ files: 6 });
    expect(backup.warnings).toEqual([]);
  });

  it("warns once, not once a file, of owners that only root may set, and drops set-id bits with them", async () => {
    const contents = new MemoryContents();
    const content = await contents.storeStream(iterateBytes("program"));
    const metadata: EntryMetadata = { ...generatedMetadata("file", new Date(0)), mode: 0o6755, uid: 4_294_967_294 };
    const entries: StoredEntry[] = [{ path: Buffer.alloc(0), metadata: generatedMetadata("dir", new Date(0)) }];
    for (let n = 0; n < 5; n += 1) entries.push({ path: Buffer.from(`f${n}`), metadata, content });
    const warnings: string[] = [];
    const to = Buffer.from(join(base, "to"));
    const asUser = process.geteuid?.() === 0;
    if (asUser) {
      chmodSync(base, 0o777);
      process.seteuid?.(65_534);
    }
    try {
      const root = { ...(entries[0] as StoredEntry) };
      const mine = {
        ...root,
        metadata: { ...root.metadata, uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 },
      };
      const onWarn = ({ message }: { readonly message: string }): void => void warnings.push(message);
      await writeTree(to, iterate([mine, ...entries.slice(1)]), contents, { warn: onWarn });
    } finally {
      if (asUser) process.seteuid?.(0);
    }
    expect(warnings.length).toBeLessThanOrEqual(1);
    expect(warnings.join()).toContain("5 entries");
    expect(lstatSync(join(base, "to/f0")).mode & 0o7777).toBe(0o755);
  });
});

async function* iterateBytes(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}

describe("a hostile backup", () => {
  const at = new Date(0);
  const directory = (path: string): StoredEntry => ({
    path: Buffer.from(path),
    metadata: generatedMetadata("dir", at),
  });
  const link = (path: string, target: string): StoredEntry => ({
    path: Buffer.from(path),
    metadata: { ...generatedMetadata("file", at), type: "symlink", linkTarget: Buffer.from(target) },
  });
  const file = (path: string): StoredEntry => ({
    path: Buffer.from(path),
    metadata: generatedMetadata("file", at),
    content: { sizeBytes: 0, blobIds: Buffer.alloc(0) },
  });

  it.each<[string, StoredEntry[]]>([
    ["a parent path", [directory(""), file("../outside")]],
    ["a parent path further down", [directory(""), directory("a"), file("a/../../outside")]],
    ["an absolute path", [directory(""), file("/outside")]],
    ["an empty name", [directory(""), directory("a"), file("a//outside")]],
    ["a dot", [directory(""), file("./outside")]],
    ["a slash at the end", [directory(""), directory("a/")]],
    ["a zero byte", [directory(""), file("a\0b")]],
    ["a name below a link", [directory(""), link("a", "/tmp"), file("a/outside")]],
    ["a link that then is a directory", [directory(""), link("a", "/tmp"), directory("a"), file("a/outside")]],
    ["a name below a file", [directory(""), file("a"), file("a/b")]],
    ["a name below nothing", [directory(""), file("a/b")]],
    ["no root", [file("a")]],
    ["entries out of order", [directory(""), file("b"), file("a")]],
    ["no entries", []],
    ["a directory with bytes", [{ ...directory(""), content: { sizeBytes: 0, blobIds: Buffer.alloc(0) } }]],
    ["a name of 256 bytes", [directory(""), file("x".repeat(256))]],
  ])("with %s is refused", async (_name, entries) => {
    const to = Buffer.from(join(base, "to"));
    const writing = writeTree(to, iterate(entries), new MemoryContents(), { warn });
    await expect(writing).rejects.toMatchObject({ code: "ENTRY_UNSAFE" });
    expect(existsSync(join(base, "outside"))).toBe(false);
  });

  it("never writes beside its folder, whatever its paths", async () => {
    const part = fc.constantFrom("a", "b", "..", ".", "", "x", "/");
    const path = fc.array(part, { maxLength: 4 }).map((parts) => parts.join("/"));
    const entry = fc.oneof(
      path.map(directory),
      path.map(file),
      path.map((path) => link(path, "..")),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 6 }), async (entries) => {
        const outer = mkdtempSync(join(base, "run-"));
        const to = Buffer.from(join(outer, "to"));
        await writeTree(to, iterate([directory(""), ...entries]), new MemoryContents(), { warn }).catch(
          (error: unknown) =>
            expect(error).toMatchObject({ code: expect.stringMatching(/ENTRY_UNSAFE|SERVICE_STAGE_FAILED/) as string }),
        );
        expect(readdirSync(outer).filter((name) => name !== "to")).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });
});

describe("removing a tree", () => {
  it("takes away odd names and closed folders, and leaves what links point to", async () => {
    mkdirSync(join(base, "old/closed"), { recursive: true });
    mkdirSync(join(base, "other"));
    writeFileSync(join(base, "other/kept"), "kept");
    writeFileSync(Buffer.concat([Buffer.from(`${base}/old/closed/`), Buffer.of(0xff)]), "x");
    symlinkSync(join(base, "other"), join(base, "old/link"));
    chmodSync(join(base, "old/closed"), 0);
    await removeTree(Buffer.from(join(base, "old")));
    await removeTree(Buffer.from(join(base, "old")));
    expect(readdirSync(base)).toEqual(["other"]);
    expect(readFileSync(join(base, "other/kept"), "utf8")).toBe("kept");
    rmSync(join(base, "other"), { recursive: true });
  });
});
