import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { compareEntryPaths, type EntryMetadata } from "../component/index.ts";
import { ListingWriter } from "./listing.ts";
import { Overlay } from "./overlay.ts";
import type { TreeRecord } from "./tree-record.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-listing-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const name = fc
  .uint8Array({ minLength: 1, maxLength: 3 })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x41 : byte))));
const path = fc
  .array(name, { maxLength: 3 })
  .map((names) => Buffer.concat(names.flatMap((name, at) => (at === 0 ? [name] : [Buffer.from("/"), name]))));
const metadata: fc.Arbitrary<EntryMetadata> = fc.record(
  {
    type: fc.constantFrom("file", "dir", "fifo", "chardev"),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 0xffffffff }),
    gid: fc.integer({ min: 0, max: 0xffffffff }),
    mtimeNs: fc.bigInt(-(2n ** 62n), 2n ** 62n),
    ctimeNs: fc.bigInt(-(2n ** 62n), 2n ** 62n),
    inode: fc.bigInt(0n, 2n ** 64n - 1n),
    deviceId: fc.bigInt(0n, 2n ** 64n - 1n),
    links: fc.integer({ min: 1, max: 0xffffffff }),
    device: fc.bigInt(0n, 2n ** 64n - 1n),
    xattrs: fc.array(
      fc.record({ name: fc.string({ minLength: 1 }), value: fc.uint8Array().map((v) => Buffer.from(v)) }),
      {
        minLength: 1,
        maxLength: 3,
      },
    ),
  },
  { requiredKeys: ["type", "mode", "uid", "gid", "mtimeNs", "ctimeNs", "inode", "deviceId", "links"] },
);
const record: fc.Arbitrary<TreeRecord> = fc.record(
  {
    path,
    metadata,
    sizeBytes: fc.nat(),
    diskBytes: fc.nat(),
    content: fc.record({ sizeBytes: fc.nat(), blobIds: fc.uint8Array().map((ids) => Buffer.from(ids)) }),
    copy: fc.nat(),
    racy: fc.constant(true),
    unreadable: fc.constantFrom("EACCES", "EIO"),
  },
  { requiredKeys: ["path", "metadata", "sizeBytes", "diskBytes"] },
);
const sorted = (records: TreeRecord[]): TreeRecord[] =>
  records
    .sort((a, b) => compareEntryPaths(a.path, b.path))
    .filter((record, at, all) => at === 0 || !record.path.equals((all[at - 1] as TreeRecord).path));

describe("a listing", () => {
  it("gives back its records, in order and by path, and removes its file", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(record, { maxLength: 600 }).map(sorted), async (records) => {
        const file = join(folder, "listing");
        const writer = new ListingWriter(file);
        for (const record of records) writer.add(record);
        const listing = writer.finish();
        const read: TreeRecord[] = [];
        for await (const record of listing.records()) read.push(record);
        expect(read).toEqual(records);
        for (const record of records.slice(-3)) expect(listing.find(record.path)).toEqual(record);
        expect(listing.find(Buffer.from("not there at all"))).toBeUndefined();
        listing.close();
        expect(existsSync(file)).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  it("holds records that are longer than what it reads at once", async () => {
    const writer = new ListingWriter(join(folder, "listing"));
    const base = fc.sample(record, { numRuns: 1, seed: 1 })[0] as TreeRecord;
    const blobIds = Buffer.alloc(3_000_000, 7);
    const records = ["a", "b", "c"].map((path) => ({
      ...base,
      path: Buffer.from(path),
      content: { sizeBytes: 1, blobIds },
    }));
    for (const record of records) writer.add(record);
    const listing = writer.finish();
    const read: TreeRecord[] = [];
    for await (const record of listing.records()) read.push(record);
    expect(read.map(({ path, content }) => `${path.toString()} ${content?.blobIds.length}`)).toEqual([
      "a 3000000",
      "b 3000000",
      "c 3000000",
    ]);
    listing.close();
  });
});

describe("an overlay", () => {
  const entry = (path: string, type: "file" | "dir", size = 0): TreeRecord => ({
    path: Buffer.from(path),
    metadata: { type, mode: 0, uid: 0, gid: 0, mtimeNs: 0n, ctimeNs: 0n, inode: 0n, deviceId: 0n, links: 1 },
    sizeBytes: size,
    diskBytes: 0,
  });
  async function* iterate(records: TreeRecord[]): AsyncIterable<TreeRecord> {
    for (const record of records) yield record;
  }
  const merged = async (overlay: Overlay, records: TreeRecord[]): Promise<string[]> => {
    const lines: string[] = [];
    for await (const { path, sizeBytes } of overlay.merge(iterate(records)))
      lines.push(`${path.toString()}:${sizeBytes}`);
    return lines;
  };
  const listed = [
    entry("", "dir"),
    entry("a", "dir"),
    entry("a/x", "file", 1),
    entry("a.txt", "file", 1),
    entry("b", "file", 1),
  ];

  it("adds, replaces and removes, in order", async () => {
    const overlay = new Overlay();
    overlay.set(entry("a/y", "file", 2));
    overlay.set(entry("b", "file", 2));
    overlay.remove(Buffer.from("a.txt"));
    expect(await merged(overlay, listed)).toEqual([":0", "a:0", "a/x:1", "a/y:2", "b:2"]);
  });

  it("forgets what was below a directory that is gone, is a file now, or is another directory", async () => {
    const gone = new Overlay();
    gone.remove(Buffer.from("a"));
    expect(await merged(gone, listed)).toEqual([":0", "a.txt:1", "b:1"]);
    const file = new Overlay();
    file.set(entry("a/y", "file", 2));
    file.set(entry("a", "file", 3));
    expect(await merged(file, listed)).toEqual([":0", "a:3", "a.txt:1", "b:1"]);
    const other = new Overlay();
    other.set(entry("a/old", "file", 2));
    other.replaceBelow(Buffer.from("a"));
    other.set(entry("a", "dir", 4));
    other.set(entry("a/new", "file", 2));
    expect(await merged(other, listed)).toEqual([":0", "a:4", "a/new:2", "a.txt:1", "b:1"]);
    expect(other.find(Buffer.from("a/x"))).toBeNull();
    expect(other.find(Buffer.from("b"))).toBeUndefined();
  });

  it("yields nothing below what turned out to be gone", async () => {
    const overlay = new Overlay();
    overlay.remove(Buffer.from("a"));
    overlay.set(entry("a/late", "file", 1));
    expect(await merged(overlay, listed)).toEqual([":0", "a.txt:1", "b:1"]);
  });
});
