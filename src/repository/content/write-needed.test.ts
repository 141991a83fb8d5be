import { describe, expect, test } from "vitest";
import { planRanges } from "./write-needed.ts";

describe("the plan of what to load", () => {
  test("loads a blob of several places once, and neighbours together", () => {
    const need = (pack: number, offset: number, length: number, file: number) => ({
      pack,
      offset,
      length,
      uncompressedLength: 0,
      id: Buffer.alloc(32),
      file,
      target: { kind: "create" as const, path: Buffer.from("f"), properties: undefined },
    });
    const needs = [
      need(1, 1000, 500, 1),
      need(2, 0, 100, 2),
      need(1, 0, 1000, 3),
      need(1, 1000, 500, 4),
      need(1, 9_000_000, 10, 5),
      need(1, 1500, 4 << 20, 6),
      need(3, 0, 100, 7),
    ];
    const ranges = planRanges(needs).map((range) => range.map(({ pack, offset, file }) => [pack, offset, file]));
    expect(ranges).toEqual([
      [
        [1, 0, 3],
        [1, 1000, 1],
        [1, 1000, 4],
      ],
      [[1, 1500, 6]],
      [[1, 9_000_000, 5]],
      [[2, 0, 2]],
      [[3, 0, 7]],
    ]);
  });
});
