import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HoldfastError } from "../../base/index.ts";
import type { BlobType } from "../pack/pack-format.ts";
import { decodeIndex, encodeIndex } from "./index-file.ts";

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const pack = fc.record({
  id: bytes32.map((bytes) => bytes.toString("hex")),
  blobs: fc.array(
    fc.record({
      type: fc.constantFrom<BlobType>("data", "tree"),
      id: bytes32,
      offset: fc.nat(0x7fff_ffff),
      length: fc.integer({ min: 32, max: 0x7fff_ffff }),
      uncompressedLength: fc.nat(0xffff_ffff),
    }),
  ),
});
const decode = (json: string): unknown => decodeIndex(Buffer.from(json), "index abc");

describe("an index file", () => {
  it("is written byte for byte as restic writes it", () => {
    const id = Buffer.alloc(32, 1);
    const hex = "01".repeat(32);
    const json = encodeIndex([
      {
        id: "aa".repeat(32),
        blobs: [
          { type: "data", id, offset: 0, length: 38, uncompressedLength: 0 },
          { type: "tree", id, offset: 38, length: 112, uncompressedLength: 511 },
        ],
      },
    ]);
    expect(json.toString()).toBe(
      `{"packs":[{"id":"${"aa".repeat(32)}","blobs":[{"id":"${hex}","type":"data","offset":0,"length":38},{"id":"${hex}","type":"tree","offset":38,"length":112,"uncompressed_length":511}]}]}\n`,
    );
  });

  it("comes back from its bytes", () => {
    fc.assert(
      fc.property(fc.array(pack), (packs) => {
        expect(decode(encodeIndex(packs).toString())).toEqual(packs);
      }),
    );
  });

  it("may have members that this version does not know, and empty lists", () => {
    expect(decode('{"supersedes":["x"],"packs":[],"packs_to_delete":[{"id":1}]}')).toEqual([]);
    expect(decode('{"packs":null}')).toEqual([]);
    expect(decode(`{"packs":[{"id":"${"aa".repeat(32)}","blobs":null}]}`)).toEqual([
      { id: "aa".repeat(32), blobs: [] },
    ]);
  });

  it.each([
    ["{}x"],
    ["[]"],
    ["null"],
    ['{"packs":5}'],
    ['{"packs":[5]}'],
    ['{"packs":[{"id":"ab","blobs":[]}]}'],
    [`{"packs":[{"id":"${"aa".repeat(32)}","blobs":5}]}`],
    ...[
      { type: "data", offset: -1, length: 40 },
      { type: "data", offset: 0.5, length: 40 },
      { type: "data", offset: 0, length: 31 },
      { type: "data", offset: 0xffff_ffff, length: 40 },
      { type: "other", offset: 0, length: 40 },
      { type: "data", offset: 0, length: "40" },
      { type: "data", offset: 0, length: 40, uncompressed_length: -1 },
      { id: "../..", type: "data", offset: 0, length: 40 },
    ].map((blob) => [JSON.stringify({ packs: [{ id: "aa".repeat(32), blobs: [{ id: "bb".repeat(32), ...blob }] }] })]),
  ])("is refused by name: %s", (json) => {
    expect(() => decode(json)).toThrow(HoldfastError);
    expect(() => decode(json)).toThrow(/index abc/);
  });
});
