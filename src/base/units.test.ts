import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatBytes, formatDuration, parseDurationMs } from "./units.ts";

describe("units", () => {
  it.each([
    [0, "0 B"],
    [812, "812 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [9_949, "9.9 kB"],
    [9_950, "10 kB"],
    [13_950_000, "14 MB"],
    [999_400, "999 kB"],
    [999_500, "1.0 MB"],
    [1_900_000_000, "1.9 GB"],
    [2e18, "2000 PB"],
  ])("show %d bytes as %s", (sizeBytes, text) => {
    expect(formatBytes(sizeBytes)).toBe(text);
  });

  it.each([
    [0, "0.0 ms"],
    [0.9, "0.9 ms"],
    [9.96, "10 ms"],
    [38.2, "38 ms"],
    [999.4, "999 ms"],
    [999.6, "1.0 s"],
    [9_800, "9.8 s"],
    [59_940, "59.9 s"],
    [59_960, "1 min 0 s"],
    [192_000, "3 min 12 s"],
    [3_599_600, "1 h 00 min"],
    [18_120_000, "5 h 02 min"],
  ])("show %d milliseconds as %s", (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });

  it.each([
    ["500ms", 500],
    ["15s", 15_000],
    ["1.5m", 90_000],
    ["1h", 3_600_000],
    ["2d", 172_800_000],
    [" 3s ", 3000],
    ["15", undefined],
    ["s", undefined],
    ["-1s", undefined],
    ["1 s", undefined],
    ["1e3s", undefined],
  ])("read %j as a duration", (text, durationMs) => {
    expect(parseDurationMs(text)).toBe(durationMs);
  });

  it("show any size with at most three digits", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (sizeBytes) => {
        expect(formatBytes(sizeBytes)).toMatch(/^(\d{1,3}|\d\.\d) (B|kB|MB|GB|TB|PB)$/);
      }),
    );
  });
});
