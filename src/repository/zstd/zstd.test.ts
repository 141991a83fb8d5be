import { randomBytes } from "node:crypto";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { PortableZstd, threadZstd } from "./zstd.ts";

const text = (length: number): Buffer =>
  Buffer.from("INSERT INTO orders VALUES (1, 'paid');\n".repeat(length / 39 + 1));

test("this thread uses the library that is in Node's own program", () => {
  expect(threadZstd().constructor.name).toBe("NativeZstd");
  expect(threadZstd()).toBe(threadZstd());
});

describe.each([
  { name: "native", zstd: threadZstd() },
  { name: "portable", zstd: new PortableZstd() },
])("$name", ({ zstd }) => {
  test("frames are Node's, and Node's frames are read, at any size", () => {
    for (const length of [1, 64, 4096, 100_000, 1 << 20, 9 << 20]) {
      for (const bytes of [text(length).subarray(0, length), randomBytes(length)]) {
        expect(zstdDecompressSync(zstd.compress(bytes)).equals(bytes)).toBe(true);
        const target = Buffer.alloc(length + 7);
        expect(zstd.decompress(zstdCompressSync(bytes), target)).toBe(length);
        expect(target.subarray(0, length).equals(bytes)).toBe(true);
        expect(target.subarray(length).equals(Buffer.alloc(7))).toBe(true);
      }
    }
  });

  test("a part of a buffer is read and filled, and nothing around it", () => {
    const memory = Buffer.alloc(3000, 7);
    const bytes = text(1000).subarray(3, 1003);
    const frame = Buffer.concat([Buffer.of(9), zstd.compress(bytes)]).subarray(1);
    expect(zstd.decompress(frame, memory.subarray(1000, 2000))).toBe(1000);
    expect(memory.subarray(1000, 2000).equals(bytes)).toBe(true);
    expect(memory.subarray(0, 1000).every((byte) => byte === 7)).toBe(true);
    expect(memory.subarray(2000).every((byte) => byte === 7)).toBe(true);
  });

  test("a frame with more than there is room for, a damaged one and none give nothing", () => {
    const frame = Buffer.from(zstd.compress(text(5000).subarray(0, 5000)));
    expect(zstd.decompress(frame, Buffer.alloc(4999))).toBeUndefined();
    expect(zstd.decompress(zstdCompressSync(Buffer.alloc(50_000_000)), Buffer.alloc(1000))).toBeUndefined();
    expect(zstd.decompress(frame.subarray(0, -5), Buffer.alloc(5000))).toBeUndefined();
    expect(zstd.decompress(randomBytes(500), Buffer.alloc(5000))).toBeUndefined();
    // And the object goes on.
    expect(zstd.decompress(frame, Buffer.alloc(5000))).toBe(5000);
  });
});
