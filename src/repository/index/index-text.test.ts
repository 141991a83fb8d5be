import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BlobType, PackBlob } from "../pack/pack-format.ts";
import { decodeIndex, encodeIndex, type IndexedPack } from "./index-file.ts";
import { visitIndexText } from "./index-text.ts";

/** What is visited, as packs; undefined if the form is another. */
function visited(json: string): IndexedPack[] | undefined {
  const packs: { id: string; blobs: PackBlob[] }[] = [];
  const isRead = visitIndexText(Buffer.from(json), {
    pack: (id) => void packs.push({ id, blobs: [] }),
    blob: (type, id, location) => void packs.at(-1)?.blobs.push({ type, id: Buffer.from(id), ...location }),
  });
  return isRead ? packs : undefined;
}

const id = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const blob: fc.Arbitrary<PackBlob> = fc.record({
  type: fc.constantFrom<BlobType>("data", "tree"),
  id,
  offset: fc.nat(0x7fff_ffff),
  length: fc.integer({ min: 32, max: 0x7fff_ffff }),
  uncompressedLength: fc.oneof(fc.constant(0), fc.nat(0xffff_ffff)),
});
const packs = fc.array(fc.record({ id: id.map((bytes) => bytes.toString("hex")), blobs: fc.array(blob) }));

describe("the text of an index file", () => {
  it("is visited as it is decoded", () => {
    fc.assert(
      fc.property(packs, (list) => {
        const json = encodeIndex(list).toString();
        expect(visited(json)).toEqual(decodeIndex(Buffer.from(json), "index"));
        expect(visited(json.replace("{", `{"supersedes":["${"ab".repeat(32)}"],`).trimEnd())).toEqual(list);
      }),
    );
  });

  const hex = "0a".repeat(32);
  const one = `{"packs":[{"id":"${hex}","blobs":[{"id":"${hex}","type":"data","offset":0,"length":40}]}]}\n`;
  it("of one pack is visited", () => expect(visited(one)).toHaveLength(1));
  it.each([
    ["another name", '"offset"', '"place"'],
    ["another type", '"data"', '"item"'],
    ["a capital digit", `"id":"${hex}","type"`, `"id":"${hex.toUpperCase()}","type"`],
    ["a short id", `"id":"${hex}","type"`, `"id":"${hex.slice(2)}","type"`],
    ["a space", '{"packs"', '{ "packs"'],
    ["a negative number", ":0,", ":-1,"],
    ["a fraction", ":40", ":40.5"],
    ["a number with a zero before it", ":40", ":040"],
    ["no number", ":40", ":"],
    ["a short length", ":40", ":31"],
    ["a length beyond 32 bits", ":40", ":4294967296"],
    ["a long number", ":40", ":100000000000000000000"],
    ["an end beyond 32 bits", ":0,", ":4294967290,"],
    ["a comma too many", "}]}", "},]}"],
    ["a missing end", "]}\n", "]"],
    ["more behind it", "]}\n", "]} {}"],
    ["marks", '"packs":[', '"holdfast_marks":{},"packs":['],
    ["marks behind", "]}\n", '],"holdfast_marks":{}}\n'],
    ["no list", /"blobs":.*/, '"blobs":null}]}\n'],
  ])("is left to be decoded with %s", (_what, part, instead) => {
    expect(visited(one.replace(part, instead))).toBeUndefined();
  });
});
