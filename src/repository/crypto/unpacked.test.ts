import { zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { decodeUnpacked, decompressFrame, encodeUnpacked } from "./unpacked.ts";

describe("unpacked files", () => {
  it("come back from one zstd frame after 0x02, or as plain JSON", () => {
    const encoded = encodeUnpacked('{"a":1}');
    expect(encoded[0]).toBe(2);
    expect(encoded.readUInt32LE(1)).toBe(0xfd2fb528);
    expect(decodeUnpacked(encoded, "x").toString()).toBe('{"a":1}');
    expect(decodeUnpacked(Buffer.from('{"a":1}'), "x").toString()).toBe('{"a":1}');
    expect(decodeUnpacked(Buffer.from("[]"), "x").toString()).toBe("[]");
  });

  it.each([[""], ["\x00"], ["\x03abc"], ["\x02"], ["\x02garbage"], ["hello"]])("are refused by name: %j", (text) => {
    expect(() => decodeUnpacked(Buffer.from(text, "latin1"), "lock abc")).toThrow(
      expect.objectContaining({ code: "REPOSITORY_DAMAGED", message: expect.stringContaining("lock abc") }),
    );
  });

  it("never unfold beyond their bound", () => {
    const bomb = zstdCompressSync(Buffer.alloc(50_000_000));
    expect(bomb.length).toBeLessThan(10_000);
    const before = process.memoryUsage().arrayBuffers;
    expect(() => decompressFrame(bomb, 100_000, "tree abc")).toThrow(
      expect.objectContaining({ code: "REPOSITORY_DAMAGED", message: expect.stringContaining("tree abc") }),
    );
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
    expect(decompressFrame(zstdCompressSync(Buffer.alloc(100_000)), 100_000, "x")).toHaveLength(100_000);
  });

  it("are refused if cut off", () => {
    const encoded = encodeUnpacked(JSON.stringify({ text: "some text ".repeat(100) }));
    for (let size = 1; size < encoded.length; size += 1) {
      expect(() => decodeUnpacked(encoded.subarray(0, size), "x")).toThrow(/cannot be decompressed/);
    }
  });
});
