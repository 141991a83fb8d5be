import { describe, expect, test } from "vitest";
import { planRanges } from "./write-needed.ts";

describe("the plan of what to load", () => {
  test("loads a blob of several places once, and neighbours together", () => {
    const need = (pack: string, offset: number, length: number, file: number) => ({
      blob: {
        type: "data" as const,
        id: `${pack}${offset}`,
        pack,
        offset,
        length,
        uncompressedLength: 0,
        sizeBytes: length,
      },
      target: { kind: "create" as const, file, path: Buffer.from("f") },
    });
    const needs = [
      need("a", 1000, 500, 1),
      need("b", 0, 100, 2),
      need("a", 0, 1000, 3),
      need("a", 1000, 500, 4),
      need("a", 9_000_000, 10, 5),
      need("a", 1500, 4 << 20, 6),
    ];
    const ranges = planRanges(needs).map((range) =>
      range.map(({ blob, targets }) => [blob.pack, blob.offset, targets.length]),
    );
    expect(ranges).toEqual([
      [
        ["a", 0, 1],
        ["a", 1000, 2],
      ],
      [["a", 1500, 1]],
      [["a", 9_000_000, 1]],
      [["b", 0, 1]],
    ]);
  });
});
