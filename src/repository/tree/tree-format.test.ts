import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isHoldfastError } from "../../base/index.ts";
import type { EntryMetadata, EntryType } from "../../component/index.ts";
import type { TreeChild } from "../repository.ts";
import { decodeTree } from "./decode-tree.ts";
import { goJsonBytes, goQuote, goUnquote } from "./go-text.ts";
import { formatGoTime, parseGoTime } from "./go-time.ts";
import { goMode, unixMode } from "./mode.ts";
import { encodeTree } from "./tree-format.ts";

const metadata: EntryMetadata = {
  type: "file",
  mode: 0o644,
  uid: 1000,
  gid: 100,
  user: "shop",
  group: "users",
  mtimeNs: 981_173_106_123_456_789n,
  ctimeNs: 981_173_106_000_000_000n,
  inode: 42n,
  deviceId: 2049n,
  links: 1,
};
const idA = "aa".repeat(32);
const idB = "bb".repeat(32);

describe("trees", () => {
  it("are written byte for byte as restic writes them", () => {
    const children: TreeChild[] = [
      {
        name: Buffer.from("a <&>.txt"),
        metadata: { ...metadata, xattrs: [{ name: "user.x", value: Buffer.from("yes") }] },
        content: { sizeBytes: 70, blobIds: Buffer.from(idA + idB, "hex") },
      },
      { name: Buffer.from("dir"), metadata: { ...metadata, type: "dir", mode: 0o1755, links: 3 }, subtree: idA },
      { name: Buffer.from("empty"), metadata, content: { sizeBytes: 0, blobIds: Buffer.alloc(0) } },
      {
        name: Buffer.from([0x6c, 0xff]),
        metadata: { ...metadata, type: "symlink", mode: 0o777, linkTarget: Buffer.from([0x74, 0xfe]) },
      },
      { name: Buffer.from("tty"), metadata: { ...metadata, type: "chardev", mode: 0o620, device: 1025n } },
    ];
    const common =
      '"mtime":"2001-02-03T04:05:06.123456789Z","atime":"2001-02-03T04:05:06.123456789Z","ctime":"2001-02-03T04:05:06Z","uid":1000,"gid":100,"user":"shop","group":"users","inode":42,"device_id":2049';
    const expected = [
      `{"name":"a \\u003c\\u0026\\u003e.txt","type":"file","mode":420,${common},"size":70,"links":1,"extended_attributes":[{"name":"user.x","value":"eWVz"}],"content":["${idA}","${idB}"]}`,
      `{"name":"dir","type":"dir","mode":2148532717,${common},"content":null,"subtree":"${idA}"}`,
      `{"name":"empty","type":"file","mode":420,${common},"links":1,"content":[]}`,
      `{"name":"l\\\\xff","type":"symlink","mode":134218239,${common},"links":1,"linktarget":"t\\ufffd","linktarget_raw":"dP4=","content":null}`,
      `{"name":"tty","type":"chardev","mode":69206416,${common},"links":1,"device":1025,"content":null}`,
    ];
    const bytes = encodeTree(children);
    expect(bytes.toString()).toBe(`{"nodes":[${expected.join(",")}]}\n`);
    expect(encodeTree(decodeTree(bytes, "tree")).equals(bytes)).toBe(true);
  });

  it("come back from their bytes whatever is in them", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(child, { selector: ({ name }) => name.toString("latin1"), maxLength: 8 }),
        (children) => {
          const sorted = children.toSorted((a, b) => Buffer.compare(a.name, b.name));
          expect(decodeTree(encodeTree(sorted), "tree")).toEqual(sorted);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("are refused by name if anything in them is malformed, and never by another error", () => {
    const bytes = encodeTree([
      { name: Buffer.from("x\\"), metadata, content: { sizeBytes: 5, blobIds: Buffer.from(idA, "hex") } },
      { name: Buffer.from("y"), metadata: { ...metadata, type: "dir" }, subtree: idB },
    ]);
    fc.assert(
      fc.property(fc.nat(bytes.length - 2), fc.nat(255), (at, value) => {
        const changed = Buffer.from(bytes);
        changed[at] = value;
        expect(outcomeOf(changed)).toMatch(/^(tree|REPOSITORY_DAMAGED|ENTRY_UNSAFE)$/);
        expect(outcomeOf(bytes.subarray(0, at))).toBe("REPOSITORY_DAMAGED");
      }),
      { numRuns: 2000 },
    );
    for (const json of ["[]", "null", "3", '{"nodes":3}', '{"nodes":[3]}', '{"nodes":[{}]}', "{}", ""]) {
      expect(() => decodeTree(Buffer.from(json), "tree abc")).toThrow(/tree abc/);
    }
    expect(decodeTree(Buffer.from('{"nodes":null}'), "tree")).toEqual([]);
  });

  it("never lead out of the directory they are restored to", () => {
    for (const name of ["..", ".", "", "a/b", "/etc", "a\\x00b", "\\x2e\\x2e", "\\057etc", "\\u002fetc"]) {
      const json = JSON.stringify({ nodes: [{ ...plainNode, name }] });
      expect(() => decodeTree(Buffer.from(json), "tree")).toThrow(expect.objectContaining({ code: "ENTRY_UNSAFE" }));
    }
    for (const name of ["..", ".", "", "a/b", "\0"]) {
      const child = { name: Buffer.from(name), metadata, content: { sizeBytes: 0, blobIds: Buffer.alloc(0) } };
      expect(() => encodeTree([child])).toThrow(expect.objectContaining({ code: "ENTRY_UNSAFE" }));
    }
  });

  it("name nothing twice and nothing out of order", () => {
    const nodes = (...names: string[]): Buffer =>
      Buffer.from(JSON.stringify({ nodes: names.map((name) => ({ ...plainNode, name })) }));
    expect(decodeTree(nodes("a", "b"), "tree")).toHaveLength(2);
    for (const names of [
      ["a", "a"],
      ["b", "a"],
      ["a", "\\x61"],
    ]) {
      expect(() => decodeTree(nodes(...names), "tree")).toThrow(
        expect.objectContaining({ code: "REPOSITORY_DAMAGED" }),
      );
    }
  });

  it("keep numbers of 64 bits", () => {
    const inode = 18_446_744_073_709_551_615n;
    const tree = encodeTree([
      { name: Buffer.from("fifo"), metadata: { ...metadata, type: "fifo", inode, deviceId: inode } },
    ]);
    expect(tree.toString()).toContain('"inode":18446744073709551615,');
    expect(decodeTree(tree, "tree")[0]?.metadata).toMatchObject({ inode, deviceId: inode });
    const beyond = tree.toString().replace("18446744073709551615", "18446744073709551616");
    expect(() => decodeTree(Buffer.from(beyond), "tree")).toThrow(/malformed number/);
  });
});

describe("Go's text", () => {
  it.each([
    ["plain name.txt", "plain name.txt"],
    ['a"b\\c', 'a\\"b\\\\c'],
    ["\x07\b\f\n\r\t\v", "\\a\\b\\f\\n\\r\\t\\v"],
    ["\x00\x1f\x7f", "\\x00\\x1f\\x7f"],
    ["é日\u{1f600}\ufffd", "é日\u{1f600}\ufffd"],
    ["\u00a0\u00ad\u2028\ue000\u{e0001}", "\\u00a0\\u00ad\\u2028\\ue000\\U000e0001"],
  ])("quotes %j", (name, quoted) => {
    expect(goQuote(Buffer.from(name))).toBe(quoted);
    expect(goUnquote(quoted)?.toString()).toBe(name);
  });

  it("quotes what is no UTF-8 byte by byte", () => {
    const name = Buffer.from([0x61, 0xff, 0xe2, 0x82, 0xed, 0xa0, 0x80, 0xc0, 0x80, 0xf4, 0x90, 0x80, 0x80, 0x62]);
    expect(goQuote(name)).toBe("a\\xff\\xe2\\x82\\xed\\xa0\\x80\\xc0\\x80\\xf4\\x90\\x80\\x80b");
  });

  it("comes back from quotes, whatever the bytes", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 40 }),
          fc.string({ unit: "binary" }).map((s) => Buffer.from(s)),
        ),
        (bytes) => {
          expect(goUnquote(goQuote(Buffer.from(bytes)))).toEqual(Buffer.from(bytes));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it.each(['"', "\\", "\\q", "\\x1", "\\ud800", "\\U00110000", "\\400", "a\nb", '\\\\"', "\\'"])(
    "refuses %j",
    (quoted) => {
      expect(goUnquote(quoted)).toBeUndefined();
    },
  );

  it("replaces in JSON what is no UTF-8, and escapes what HTML would see", () => {
    expect(goJsonBytes(Buffer.from([0x3c, 0xff, 0xe2, 0x82, 0x62]))).toBe('"\\u003c\\ufffd\\ufffd\\ufffdb"');
    expect(goJsonBytes(Buffer.from("\u2028\u2029\ufffd\x01"))).toBe('"\\u2028\\u2029\ufffd\\u0001"');
  });
});

describe("Go's times and modes", () => {
  it.each([
    [0n, "1970-01-01T00:00:00Z"],
    [1n, "1970-01-01T00:00:00.000000001Z"],
    [-1n, "1969-12-31T23:59:59.999999999Z"],
    [1_500_000_000_100_000_000n, "2017-07-14T02:40:00.1Z"],
    [253_402_300_799_999_999_999n, "9999-12-31T23:59:59.999999999Z"],
    [-62_167_219_200_000_000_000n, "0000-01-01T00:00:00Z"],
  ])("writes %s as %s", (ns, text) => {
    expect(formatGoTime(ns)).toBe(text);
    expect(parseGoTime(text)).toBe(ns);
  });

  it("holds times that the format cannot to the nearest one, and reads other zones", () => {
    expect(formatGoTime(10n ** 25n)).toBe("9999-12-31T23:59:59.999999999Z");
    expect(formatGoTime(-(10n ** 25n))).toBe("0000-01-01T00:00:00Z");
    expect(parseGoTime("2017-07-14T04:40:00.000000007+02:00")).toBe(1_500_000_000_000_000_007n);
    for (const wrong of ["", "yesterday", "2017-07-14", "2017-13-14T04:40:00Z", 5, null]) {
      expect(parseGoTime(wrong)).toBeUndefined();
    }
  });

  it("keeps every bit of a mode", () => {
    fc.assert(
      fc.property(fc.nat(0o7777), fc.constantFrom<EntryType>("file", "dir", "dev", "chardev", "fifo"), (mode, type) => {
        expect(unixMode(goMode(type, mode))).toBe(mode);
      }),
    );
  });
});

const plainNode = {
  name: "a",
  type: "fifo",
  mode: 0o644,
  mtime: "2001-02-03T04:05:06Z",
  atime: "2001-02-03T04:05:06Z",
  ctime: "2001-02-03T04:05:06Z",
  uid: 0,
  gid: 0,
  content: null,
};

/** "tree", or the code with which the bytes are refused. */
function outcomeOf(bytes: Buffer): string {
  try {
    decodeTree(bytes, "tree abc");
    return "tree";
  } catch (error) {
    return isHoldfastError(error) ? error.code : String(error);
  }
}

const bytesOf = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: 1, maxLength }).map((b) => Buffer.from(b));
const uint64 = fc.bigInt(0n, 2n ** 64n - 1n);
const time = fc.bigInt(-62_167_219_200_000_000_000n, 253_402_300_799_999_999_999n);
const text = fc.string({ minLength: 1, unit: "grapheme", maxLength: 10 });

const child: fc.Arbitrary<TreeChild> = fc
  .record({
    name: bytesOf(20).map((bytes) => {
      const name = Buffer.from(bytes.filter((byte) => byte !== 0 && byte !== 0x2f));
      return name.every((byte) => byte === 0x2e) ? Buffer.concat([name, Buffer.from("x")]) : name;
    }),
    type: fc.constantFrom<EntryType>("file", "dir", "symlink", "dev", "chardev", "fifo", "socket"),
    mode: fc.nat(0o7777),
    uid: fc.nat(0xffff_ffff),
    gid: fc.nat(0xffff_ffff),
    names: fc.option(fc.record({ user: text, group: text })),
    mtimeNs: time,
    ctimeNs: time,
    inode: uint64,
    deviceId: uint64,
    device: uint64,
    links: fc.integer({ min: 1, max: 1_000_000 }),
    linkTarget: bytesOf(30),
    xattrs: fc.array(fc.record({ name: text, value: bytesOf(10) }), { maxLength: 3 }),
    blobs: fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 3 }),
    sizeBytes: fc.nat(),
  })
  .map(({ name, blobs, sizeBytes, names, device, linkTarget, xattrs, links, ...rest }) => {
    const { type } = rest;
    const counted = type === "file" || type === "symlink" || type === "dev" || type === "chardev";
    const metadata: EntryMetadata = {
      ...rest,
      ...names,
      links: counted ? links : 1,
      ...(type === "symlink" ? { linkTarget } : {}),
      ...(type === "dev" || type === "chardev" ? { device } : {}),
      ...(xattrs.length === 0 ? {} : { xattrs }),
    };
    if (type === "dir") return { name, metadata, subtree: idA };
    if (type !== "file") return { name, metadata };
    return { name, metadata, content: { sizeBytes, blobIds: Buffer.concat(blobs) } };
  });
