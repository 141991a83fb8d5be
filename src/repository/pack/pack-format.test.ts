import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HoldfastError } from "../../base/index.ts";
import {
  type BlobType,
  decodePackHeader,
  decodePackTrailer,
  encodePackHeader,
  maxHeaderBytes,
  minPackBytes,
  packSize,
} from "./pack-format.ts";

const blob = fc.record({
  type: fc.constantFrom<BlobType>("data", "tree"),
  id: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
  length: fc.integer({ min: 32, max: 10_000_000 }),
  uncompressedLength: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 0xffff_ffff })),
});

describe("a pack's header", () => {
  it("is written byte for byte as the format says", () => {
    const id = Buffer.alloc(32, 0xab);
    const header = encodePackHeader([
      { type: "data", id, length: 0x0102, uncompressedLength: 0 },
      { type: "tree", id, length: 33, uncompressedLength: 0 },
      { type: "data", id, length: 50, uncompressedLength: 0x01020304 },
      { type: "tree", id, length: 60, uncompressedLength: 7 },
    ]);
    const ab = "ab".repeat(32);
    expect(header.toString("hex")).toBe(`0002010000${ab}0121000000${ab}023200000004030201${ab}033c00000007000000${ab}`);
    expect(minPackBytes).toBe(73);
  });

  it("comes back with the blobs' places, and fits the size of the pack", () => {
    fc.assert(
      fc.property(fc.array(blob, { minLength: 1, maxLength: 50 }), (blobs) => {
        const header = encodePackHeader(blobs);
        const blobBytes = blobs.reduce((sum, { length }) => sum + length, 0);
        const decoded = decodePackHeader(header, blobBytes, "pack");
        expect(decoded).toMatchObject(blobs);
        expect(packSize(blobs)).toBe(blobBytes + header.length + 32 + 4);
        let end = 0;
        for (const { offset, length } of decoded) {
          expect(offset).toBe(end);
          end += length;
        }
      }),
    );
  });

  it("is refused if it is cut off, of unknown types, or does not fit the pack", () => {
    const blobs = [{ type: "data", id: Buffer.alloc(32), length: 100, uncompressedLength: 5 } as const];
    const header = encodePackHeader(blobs);
    const refused = (change: (bytes: Buffer) => Buffer | void, blobBytes = 100): void => {
      const bytes = Buffer.from(header);
      const changed = change(bytes) ?? bytes;
      expect(() => decodePackHeader(changed, blobBytes, "pack abc")).toThrow(/pack abc/);
    };
    for (let size = 1; size < header.length; size += 1) refused((bytes) => bytes.subarray(0, size));
    refused((bytes) => void bytes.writeUInt8(4, 0));
    refused((bytes) => void bytes.writeUInt32LE(31, 1), 31);
    refused((bytes) => void bytes.writeUInt32LE(0, 5));
    refused(() => undefined, 99);
    refused(() => undefined, 101);
    refused((bytes) => Buffer.concat([bytes, bytes]));
  });

  it("is bounded by what the pack can hold", () => {
    const trailer = (length: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(length);
      return bytes;
    };
    expect(decodePackTrailer(trailer(69), 73, "pack")).toBe(69);
    for (const [length, size] of [
      [69, 72],
      [70, 73],
      [68, 1000],
      [0, 1000],
      [0xffff_ffff, 1000],
      [maxHeaderBytes + 1, maxHeaderBytes * 2],
    ] as const) {
      expect(() => decodePackTrailer(trailer(length), size, "pack abc")).toThrow(HoldfastError);
    }
    expect(() => decodePackTrailer(Buffer.alloc(3), 3, "pack abc")).toThrow(HoldfastError);
  });
});
