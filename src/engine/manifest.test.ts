import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SourceDescription } from "../component/index.ts";
import { decodeManifest, encodeManifest } from "./manifest.ts";
import { exampleBackup as backup, exampleSource as source } from "./testing/example-backup.ts";

const description: SourceDescription = {
  kind: "postgresql",
  engineVersion: "15.18",
  counts: { "table:public.orders": 12 },
  fingerprints: { schema: "abc" },
  facts: { encoding: "UTF8", roles: ["shop"], nested: { deep: [1, null, true] } },
};
const manifest = { backup, descriptions: new Map([[source, description]]) };

describe("the manifest", () => {
  it("gives back the catalog's row and the descriptions", () => {
    const decoded = decodeManifest(encodeManifest(manifest, "production", "holdfast 0.1.0"), "f".repeat(64));
    expect(decoded.backup).toEqual(backup);
    expect(decoded.descriptions).toEqual(manifest.descriptions);
  });

  it("of another version is refused with what to do", () => {
    const text = encodeManifest(manifest, "production", "x").toString().replace('"version": 1', '"version": 2');
    expect(() => decodeManifest(Buffer.from(text), "abc")).toThrow(
      expect.objectContaining({ code: "REPOSITORY_UNSUPPORTED", remedy: expect.stringContaining("newer") }),
    );
  });

  it.each(["../x", "services/../../x", "/etc", "services//db", ".", ""])(
    "with a component at %j is refused",
    (path) => {
      const text = encodeManifest(manifest, "production", "x").toString().replace("services/db", path);
      expect(() => decodeManifest(Buffer.from(text), "abc")).toThrow(
        expect.objectContaining({ code: "REPOSITORY_UNSUPPORTED" }),
      );
    },
  );

  it("damaged in any way gives an error of ours, never another", () => {
    const bytes = encodeManifest(manifest, "production", "x");
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), fc.boolean(), (at, byte, cut) => {
        const damaged = cut ? bytes.subarray(0, at) : Buffer.from(bytes);
        if (!cut) damaged[at] = byte;
        try {
          decodeManifest(damaged, "abc");
        } catch (error) {
          expect(error).toMatchObject({ name: "HoldfastError" });
        }
      }),
      { numRuns: 500 },
    );
  });
});
