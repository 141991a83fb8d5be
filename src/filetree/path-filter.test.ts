import { describe, expect, it } from "vitest";
import { PathFilter } from "./path-filter.ts";

const excludes = (pattern: string, path: string | Buffer): boolean =>
  new PathFilter({ exclude: [pattern] }).excludesWithin(Buffer.from(path));

describe("an exclude pattern", () => {
  it.each([
    ["var/cache/**", "var/cache/a", true],
    ["var/cache/**", "var/cache/a/b/c", true],
    ["var/cache/**", "var/cache", false],
    ["var/cache/**", "var/cached", false],
    ["var/cache", "var/cache", true],
    ["var/cache", "var/cache/a/b", true],
    ["/var/cache/", "var/cache/a", true],
    ["./var/cache", "var/cache/a", true],
    ["*.log", "a.log", true],
    ["*.log", "sub/a.log", false],
    ["**/*.log", "a.log", true],
    ["**/*.log", "sub/deep/a.log", true],
    ["**/node_modules", "a/node_modules/x/y", true],
    ["a?c", "abc", true],
    ["a?c", "a/c", false],
    ["[a-c]x", "bx", true],
    ["[!a-c]x", "bx", false],
    ["[!a]x", "/x", false],
    ["{tmp,cache}/*", "cache/x", true],
    ["{tmp,cache}/*", "data/x", false],
    ["a.b", "axb", false],
    ["a\\*b", "a*b", true],
    ["a\\*b", "axb", false],
    ["ü/*", "ü/x", true],
    ["(a+b)|$", "(a+b)|$", true],
  ])("%s matches %s: %s", (pattern, path, expected) => {
    expect(excludes(pattern, path)).toBe(expected);
  });

  it("matches names that are not text", () => {
    expect(excludes("tmp/*", Buffer.concat([Buffer.from("tmp/"), Buffer.of(0xff, 0xfe)]))).toBe(true);
    expect(excludes("tmp/a\nb", "tmp/a\nb")).toBe(true);
  });

  it.each(["a[b", "{a,b", "[z-a]"])("that is malformed, as %s, is refused with its text", (pattern) => {
    expect(() => new PathFilter({ exclude: [pattern] })).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", facts: { pattern } }) as Error,
    );
  });

  it("starts where its base says", () => {
    const filter = new PathFilter({ exclude: ["var/cache/**"], excludeBase: "var" });
    expect(filter.excludes(Buffer.from("cache/a"))).toBe(true);
    expect(filter.excludes(Buffer.from("var/cache/a"))).toBe(false);
  });
});

describe("what belongs to somebody else", () => {
  it("is left out with all in it, and nothing beside it", () => {
    const filter = new PathFilter({ apart: [".git", "public/media"] });
    expect([".git", ".git/HEAD", "public/media/x"].map((path) => filter.excludesWithin(Buffer.from(path)))).toEqual([
      true,
      true,
      true,
    ]);
    expect(
      [".gitignore", "public", "public/media2", "sub/.git"].some((path) => filter.isApart(Buffer.from(path))),
    ).toBe(false);
  });
});
