import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ClaimLimits, type Claimer, type OpenActivity, planClaim } from "./claim-plan.ts";

const now = 1000;
const here: Claimer = { place: "here", serves: () => true };
const limits: ClaimLimits = { inProject: (project) => (project === "p0" ? 1 : 2), inStorage: 3 };

const arbitraryOpen: fc.Arbitrary<OpenActivity[]> = fc
  .array(
    fc.record({
      project: fc.constantFrom("p0", "p1", "p2"),
      environment: fc.constantFrom("e0", "e1", "e2", "e3"),
      priority: fc.constantFrom(0, 1),
      storage: fc.constantFrom("s0", "s1"),
      createdAtMs: fc.integer({ min: 0, max: 5 }),
      availableAtMs: fc.constantFrom(0, 0, 0, 2000),
      place: fc.constantFrom(null, null, "here", "elsewhere"),
      lease: fc.constantFrom(null, null, null, 500, 2000),
    }),
    { maxLength: 40 },
  )
  .map((rows) => {
    const busy = new Set<string>();
    return rows.map(({ lease, ...row }, index): OpenActivity => {
      // One in progress of an environment is the most that the queue ever makes.
      const environment = `${row.project}/${row.environment}`;
      const held = lease !== null && !busy.has(environment) ? lease : null;
      if (held !== null) busy.add(environment);
      return {
        ...row,
        id: `a${String(index).padStart(3, "0")}`,
        state: held === null ? "pending" : "in_progress",
        leaseUntilMs: held,
        place: held === null ? row.place : (row.place ?? "elsewhere"),
      };
    });
  });

/** As the queue does it. */
const claim = (open: readonly OpenActivity[], chosen: OpenActivity): OpenActivity[] =>
  open.map((one) =>
    one === chosen ? { ...one, state: "in_progress", leaseUntilMs: now + 30_000, place: here.place } : one,
  );

function claimAll(open: readonly OpenActivity[], claimer = here): { left: OpenActivity[]; order: OpenActivity[] } {
  let left = [...open];
  const order: OpenActivity[] = [];
  for (;;) {
    const next = planClaim(left, now, limits, claimer);
    if (next === undefined) return { left, order };
    order.push(next);
    left = claim(left, next);
  }
}

const count = (open: readonly OpenActivity[], key: (one: OpenActivity) => string): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const one of open) {
    if (one.state === "in_progress") counts.set(key(one), (counts.get(key(one)) ?? 0) + 1);
  }
  return counts;
};
const environment = (one: OpenActivity): string => `${one.project}/${one.environment}`;

describe("choosing the next activity", () => {
  test("never puts a second one into an environment, nor more into a project or a storage than it may have", () => {
    fc.assert(
      fc.property(arbitraryOpen, (open) => {
        const { left } = claimAll(open);
        for (const [, n] of count(left, environment)) expect(n).toBe(1);
        for (const [key, limit] of [
          [(one: OpenActivity) => one.project, limits.inProject],
          [(one: OpenActivity) => one.storage, () => limits.inStorage],
        ] as const) {
          const before = count(open, key);
          for (const [name, n] of count(left, key)) {
            expect(n).toBeLessThanOrEqual(Math.max(limit(name), before.get(name) ?? 0));
          }
        }
      }),
    );
  });

  test("takes up every activity whose lease is over and whose journal is here, before any other", () => {
    fc.assert(
      fc.property(arbitraryOpen, (open) => {
        const lost = open.filter(({ leaseUntilMs, place }) => (leaseUntilMs ?? now + 1) <= now && place === "here");
        const { order } = claimAll(open);
        expect(new Set(order.slice(0, lost.length))).toEqual(new Set(lost));
        for (const one of order) {
          expect([null, "here"]).toContain(one.place);
          if (one.state === "in_progress") expect(one.leaseUntilMs).toBeLessThanOrEqual(now);
        }
      }),
    );
  });

  test("keeps the order of an environment, and takes production before anything else that could be taken", () => {
    fc.assert(
      fc.property(arbitraryOpen, (open) => {
        const next = planClaim(open, now, limits, here);
        if (next === undefined || next.state === "in_progress") return;
        for (const other of open) {
          if (other.state !== "pending" || environment(other) !== environment(next)) continue;
          expect([other.createdAtMs, other.id] >= [next.createdAtMs, next.id]).toBe(true);
        }
        for (const urgent of open) {
          if (urgent.priority >= next.priority) continue;
          const alone = open.filter((one) => one === urgent || one.state === "in_progress");
          const blocked = planClaim(alone, now, limits, here) !== urgent;
          const behind = open.some(
            (one) =>
              one.state === "pending" &&
              one !== urgent &&
              environment(one) === environment(urgent) &&
              (one.createdAtMs < urgent.createdAtMs || (one.createdAtMs === urgent.createdAtMs && one.id < urgent.id)),
          );
          expect(blocked || behind).toBe(true);
        }
      }),
    );
  });

  test("finds something whenever something may begin", () => {
    fc.assert(
      fc.property(arbitraryOpen, (open) => {
        if (planClaim(open, now, limits, here) !== undefined) return;
        for (const one of open) {
          if (one.state === "in_progress") continue;
          const alone = open.filter((other) => other === one || other.state === "in_progress");
          const heads = open.filter((other) => other.state === "pending" && environment(other) === environment(one));
          if (heads.length === 1) expect(planClaim(alone, now, limits, here)).toBeUndefined();
        }
      }),
    );
  });

  test("leaves environments alone that the claimer does not serve", () => {
    fc.assert(
      fc.property(arbitraryOpen, (open) => {
        const { order } = claimAll(open, { place: "here", serves: (project) => project === "p1" });
        expect(order.every(({ project }) => project === "p1")).toBe(true);
      }),
    );
  });
});
