import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildChunker } from "./build-wasm.ts";
import { chunkBytes, GearChunker, gearTable } from "./gear-chunker.ts";
import { StreamChunker } from "./stream-chunker.ts";

const key = { encrypt: Buffer.alloc(32, 1), macK: Buffer.alloc(16, 2), macR: Buffer.alloc(16, 3) };
const table = gearTable(key);

/** Bytes that look random and are the same each time. */
function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, length >>> 2);
  let state = seed * 2_654_435_761 + 1;
  for (let at = 0; at < words.length; at += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  bytes.fill(seed & 255, words.length * 4);
  return bytes;
}

function cut(bytes: Uint8Array, pieces: readonly number[] = [1 << 20]): Uint8Array[] {
  const chunker = new StreamChunker(table);
  const chunks: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = pieces[turn % pieces.length] as number;
    chunks.push(...chunker.push(bytes.subarray(at, at + length)));
    at += length;
  }
  const last = chunker.finish();
  return last === undefined ? chunks : [...chunks, last];
}

const lengths = (chunks: readonly Uint8Array[]): number[] => chunks.map((chunk) => chunk.length);

/** What the WebAssembly does, said anew in plain numbers: the lengths of the chunks. */
function referenceLengths(bytes: Uint8Array): number[] {
  const words = new DataView(table.buffer, table.byteOffset);
  const result: number[] = [];
  for (let start = 0; start < bytes.length;) {
    const limit = Math.min(chunkBytes.max, bytes.length - start);
    let high = 0;
    let low = 0;
    let length = Math.max(0, chunkBytes.min - 64);
    for (; length < limit;) {
      const byte = bytes[start + length] as number;
      const shifted = ((high << 1) | (low >>> 31)) >>> 0;
      const sum = ((low << 1) >>> 0) + words.getUint32(byte * 8, true);
      high = (shifted + words.getUint32(byte * 8 + 4, true) + (sum > 0xffff_ffff ? 1 : 0)) >>> 0;
      low = sum >>> 0;
      length += 1;
      if (length >= chunkBytes.min && high >>> (length <= chunkBytes.normal ? 12 : 14) === 0) break;
    }
    result.push(Math.min(length, limit));
    start += Math.min(length, limit);
  }
  return result;
}

const data = noise(24 << 20, 7);

describe("the chunker", () => {
  test("cuts where the reference in plain JavaScript cuts", () => {
    const small = data.subarray(0, 6 << 20);
    expect(lengths(cut(small))).toEqual(referenceLengths(small));
    const zeros = Buffer.alloc(20 << 20);
    expect(lengths(cut(zeros))).toEqual(referenceLengths(zeros));
  });

  test("keeps every byte, and all chunks but the last between the limits", () => {
    const chunks = cut(data);
    expect(Buffer.concat(chunks).equals(data)).toBe(true);
    for (const chunk of chunks.slice(0, -1)) {
      expect(chunk.length).toBeGreaterThanOrEqual(chunkBytes.min);
      expect(chunk.length).toBeLessThanOrEqual(chunkBytes.max);
    }
    const average = data.length / chunks.length;
    expect(average).toBeGreaterThan(0.7 * chunkBytes.normal);
    expect(average).toBeLessThan(1.5 * chunkBytes.normal);
  });

  test("cuts data without structure at the largest size", () => {
    // One byte over and over gives one hash over and over: it never completes the mask, or does so at once.
    for (const byte of [0, 1, 0x20, 0xff]) {
      const all = lengths(cut(Buffer.alloc(17 << 20, byte)));
      expect([chunkBytes.max, chunkBytes.min, chunkBytes.normal + 1]).toContain(all[0]);
    }
  });

  test("cuts at the same places however the bytes are handed in", () => {
    const bytes = data.subarray(0, 5 << 20);
    const expected = lengths(cut(bytes, [bytes.length]));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3 << 20 }), { minLength: 1, maxLength: 8 }), (pieces) => {
        // At least a few thousand bytes a turn on average, so that a run ends.
        expect(lengths(cut(bytes, [...pieces, 70_000]))).toEqual(expected);
      }),
      { numRuns: 25 },
    );
    const around = [chunkBytes.min - 64, chunkBytes.min - 1, chunkBytes.min, chunkBytes.normal, 1, 63, 64, 65];
    for (const piece of around.filter((size) => size > 1000)) expect(lengths(cut(bytes, [piece]))).toEqual(expected);
    expect(lengths(cut(bytes, [1, 63, 64, 65, 500_000]))).toEqual(expected);
  });

  test("changes few chunks when bytes are inserted", () => {
    const hashes = (chunks: readonly Uint8Array[]): string[] =>
      chunks.map((chunk) => createHash("sha256").update(chunk).digest("hex"));
    const before = new Set(hashes(cut(data)));
    for (const at of [0, 3_333_333, 12 << 20]) {
      const changed = Buffer.concat([data.subarray(0, at), Buffer.from("inserted"), data.subarray(at)]);
      const fresh = hashes(cut(changed)).filter((hash) => !before.has(hash));
      expect(fresh.length).toBeLessThanOrEqual(4);
    }
  });

  test("cuts elsewhere in a repository with another key", () => {
    const other = new StreamChunker(gearTable({ ...key, encrypt: Buffer.alloc(32, 9) }));
    const chunks = [...other.push(data.subarray(0, 8 << 20))];
    expect(lengths(chunks)).not.toEqual(lengths(cut(data)).slice(0, chunks.length));
  });

  test("begins anew after the end of a stream and after an abandoned one", () => {
    const chunker = new StreamChunker(table);
    const once = [...chunker.push(data.subarray(0, 4 << 20)), chunker.finish() ?? Buffer.alloc(0)];
    expect(chunker.finish()).toBeUndefined();
    Array.from(chunker.push(data.subarray(100, 777_777)));
    chunker.finish();
    const again = [...chunker.push(data.subarray(0, 4 << 20)), chunker.finish() ?? Buffer.alloc(0)];
    expect(lengths(again)).toEqual(lengths(once));
  });

  test("refuses a table and ranges that it has no room for", () => {
    expect(() => new GearChunker(table.subarray(1))).toThrow(RangeError);
    const chunker = new GearChunker(table);
    expect(() => chunker.scan(0, chunker.buffer.length + 1)).toThrow(RangeError);
    expect(chunker.scan(0, 1000)).toBe(0);
    expect(() => chunker.scan(999, 2000)).toThrow(RangeError);
  });

  test("is what its source compiles to", async () => {
    const committed = readFileSync(new URL("./gear-chunker.wasm", import.meta.url));
    expect(Buffer.from(await buildChunker()).equals(committed)).toBe(true);
  });
});
