import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PackUse, planPrune } from "./plan-prune.ts";
import type { UnusedLimit } from "./prune-types.ts";

const now = new Date("2026-06-01T00:00:00Z");
const hour = 3_600_000;

const packUse = fc
  .record({
    blobs: fc.integer({ min: 1, max: 50 }),
    blobBytes: fc.integer({ min: 40, max: 2 << 20 }),
    usedShare: fc.constantFrom(0, 0, 0.1, 0.5, 0.9, 1),
    mixed: fc.boolean(),
    indexed: fc.boolean(),
    markedHours: fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined }),
  })
  .map(({ blobs, blobBytes, usedShare, mixed, indexed, markedHours }): Omit<PackUse, "id"> => {
    const usedBlobs = indexed ? Math.ceil(blobs * usedShare) : 0;
    return {
      sizeBytes: blobs * (blobBytes + 41) + 36,
      blobs: indexed ? blobs : 0,
      usedBlobs,
      usedBytes: usedBlobs * blobBytes,
      mixed: indexed && mixed,
      indexed,
      ...(markedHours === undefined ? {} : { markedAt: new Date(now.getTime() - markedHours * hour) }),
    };
  });
const packList = fc
  .array(packUse, { maxLength: 40 })
  .map((packs) => packs.map((pack, at): PackUse => ({ ...pack, id: at.toString(16).padStart(64, "0") })));
const unusedLimit = fc.oneof(
  fc.constant<UnusedLimit>("unlimited"),
  fc.double({ min: 0, max: 1, noNaN: true }).map((ratio): UnusedLimit => ({ ratio })),
  fc.nat(100_000_000).map((bytes): UnusedLimit => ({ bytes })),
);
const safety = fc.constantFrom(0, 1, 24, 1000).map((hours) => hours * hour);
const lists = ["keep", "repack", "mark", "unmark", "wait", "delete"] as const;

const pack = (id: string, more: Partial<PackUse> = {}): PackUse => ({
  id,
  sizeBytes: 10_000_000,
  blobs: 10,
  usedBlobs: 10,
  usedBytes: 9_990_000,
  mixed: false,
  indexed: true,
  ...more,
});
const plan = (packs: PackUse[], maxUnused: UnusedLimit = { ratio: 0.05 }, safetyMs = 24 * hour) =>
  planPrune(packs, { now, safetyMs, maxUnused });

describe("a plan", () => {
  it("puts every pack into exactly one list, and its figures are those of the lists", () => {
    fc.assert(
      fc.property(packList, unusedLimit, safety, (packs, maxUnused, safetyMs) => {
        const made = plan(packs, maxUnused, safetyMs);
        expect(lists.flatMap((name) => made[name]).sort()).toEqual(packs.map(({ id }) => id));
        for (const name of lists) {
          const bytes = packs.filter(({ id }) => made[name].includes(id)).reduce((sum, one) => sum + one.sizeBytes, 0);
          expect(made.figures[name]).toEqual({ packs: made[name].length, bytes });
        }
      }),
    );
  });

  it("never lets go of a pack with needed blobs but by repacking, and deletes nothing before its time", () => {
    fc.assert(
      fc.property(packList, unusedLimit, safety, (packs, maxUnused, safetyMs) => {
        const made = plan(packs, maxUnused, safetyMs);
        for (const one of packs) {
          const list = lists.find((name) => made[name].includes(one.id));
          if (one.usedBlobs > 0) expect(["keep", "repack", "unmark"]).toContain(list);
          else expect(["mark", "wait", "delete"]).toContain(list);
          if (list === "unmark" || list === "wait") expect(one.markedAt).toBeDefined();
          if (list !== "delete" || safetyMs === 0) continue;
          expect(now.getTime() - (one.markedAt?.getTime() ?? now.getTime())).toBeGreaterThanOrEqual(safetyMs);
        }
      }),
    );
  });

  it("leaves no more unused than the limit, except in packs that were just un-marked", () => {
    fc.assert(
      fc.property(packList, unusedLimit, safety, (packs, maxUnused, safetyMs) => {
        const fresh = packs.filter(({ markedAt }) => markedAt === undefined);
        const { figures } = plan(fresh, maxUnused, safetyMs);
        if (maxUnused === "unlimited" || ("ratio" in maxUnused && maxUnused.ratio >= 1)) return;
        const allowed =
          "bytes" in maxUnused ? maxUnused.bytes : (figures.bytesUsed * maxUnused.ratio) / (1 - maxUnused.ratio);
        expect(figures.bytesUnusedKept).toBeLessThanOrEqual(allowed);
      }),
    );
  });

  it("accounts for every byte: kept and used, kept and unused, freed now, freed later", () => {
    fc.assert(
      fc.property(packList, unusedLimit, safety, (packs, maxUnused, safetyMs) => {
        const { figures } = plan(packs, maxUnused, safetyMs);
        const total = packs.reduce((sum, one) => sum + one.sizeBytes, 0);
        const headers = packs.reduce(
          (sum, one) => sum + (one.usedBlobs === one.blobs ? one.sizeBytes - one.usedBytes : 0),
          0,
        );
        const told = figures.bytesUsed + figures.bytesUnusedKept + figures.bytesFreed + figures.bytesFreedLater;
        expect(told).toBeLessThanOrEqual(total);
        expect(told).toBeGreaterThanOrEqual(total - headers);
      }),
    );
  });

  it("does nothing to a repository in which everything is needed", () => {
    const made = plan([pack("a"), pack("b")]);
    expect(made.keep).toEqual(["a", "b"]);
    expect(made.figures).toMatchObject({ bytesFreed: 0, bytesFreedLater: 0, bytesRewritten: 0, bytesUnusedKept: 0 });
  });

  it("repacks what is mixed, and first what frees the most for its cost", () => {
    const half = { usedBlobs: 5, usedBytes: 5_000_000 };
    const most = { usedBlobs: 9, usedBytes: 9_000_000 };
    const made = plan([pack("a", most), pack("b", half), pack("c", { mixed: true })], { bytes: 1_000_000 });
    expect(made.repack).toEqual(["b", "c"]);
    expect(plan([pack("a", most), pack("b", half)], "unlimited").repack).toEqual([]);
    expect(plan([pack("a", most), pack("b", half)], { bytes: 0 }).repack).toEqual(["a", "b"]);
  });

  it("puts small packs together once there are ten of them", () => {
    const small = Array.from({ length: 10 }, (_, at) => pack(`s${at}`, { sizeBytes: 5000, usedBytes: 4500 }));
    expect(plan(small.slice(1)).repack).toEqual([]);
    expect(plan([...small, pack("big")]).repack).toHaveLength(10);
  });
});
