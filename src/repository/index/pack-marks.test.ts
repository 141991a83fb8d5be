import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { HoldfastError } from "../../base/index.ts";
import { envelopeOverhead } from "../crypto/envelope.ts";
import { encodeUnpacked } from "../crypto/unpacked.ts";
import { decodeIndexFile } from "./index-file.ts";
import { encodeMarks, maxMarkFileBytes, splitMarks } from "./pack-marks.ts";

const ids = (count: number): string[] => Array.from({ length: count }, () => randomBytes(32).toString("hex"));

describe("marks of packs", () => {
  it("come back from the files that they are split into, each small enough to be found", () => {
    const marks = { time: new Date("2026-01-02T03:04:05.678Z"), packs: ids(2300), orphans: ids(700) };
    const parts = Array.from(splitMarks(marks), (part) => {
      const json = encodeMarks(part);
      expect(encodeUnpacked(json).length + envelopeOverhead).toBeLessThanOrEqual(maxMarkFileBytes);
      return decodeIndexFile(Buffer.from(json), "index abc");
    });
    for (const part of parts) expect(part).toMatchObject({ packs: [], marks: { time: marks.time } });
    expect(parts.flatMap((part) => part.marks?.packs ?? [])).toEqual(marks.packs);
    expect(parts.flatMap((part) => part.marks?.orphans ?? [])).toEqual(marks.orphans);
    expect(Array.from(splitMarks({ ...marks, packs: [], orphans: [] }))).toEqual([]);
  });

  it.each([
    ["5"],
    ['{"time":"never","packs":[],"orphans":[]}'],
    ['{"time":"2026-01-02T03:04:05Z","packs":["x"],"orphans":[]}'],
    ['{"time":"2026-01-02T03:04:05Z","packs":[]}'],
  ])("are refused by name: %s", (marks) => {
    const decode = (): unknown => decodeIndexFile(Buffer.from(`{"holdfast_marks":${marks}}`), "index abc");
    expect(decode).toThrow(HoldfastError);
    expect(decode).toThrow(/index abc/);
  });
});
