import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { planKill, randomFrom } from "./kill-plan.ts";
import { summarize } from "./kill-report.ts";
import { runKills } from "./kill-run.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "holdfast-kill-"));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it(
  "leaves an environment wholly old or new, and a sound repository, when the process is killed at any moment",
  { timeout: 900_000 },
  async () => {
    const report = await runKills({ seed: 12, moments: 6, folder: path.join(folder, "site") });
    const summary = summarize(report);
    const moments = report.moments.filter(({ problems }) => problems.length > 0);
    expect({ problems: report.problems, moments }, JSON.stringify(summary)).toEqual({ problems: [], moments: [] });
    expect(summary).toMatchObject({ kills: 6 });
    const operations = new Set(report.moments.map(({ operation }) => operation));
    expect(operations).toContain("restore");
    expect(operations).toContain("safe backup");
  },
);

it("draws half of the kills from the hold, and the same ones from the same seed", () => {
  const draw = (seed: number) => {
    const random = randomFrom(seed);
    return Array.from({ length: 2000 }, () => planKill(random));
  };
  const plans = draw(1);
  expect(plans).toEqual(draw(1));
  expect(plans).not.toEqual(draw(2));
  const share = (of: (plan: (typeof plans)[number]) => boolean): number => plans.filter(of).length / plans.length;
  expect(share((plan) => plan.draw === "hold")).toBeCloseTo(0.5, 1);
  expect(share((plan) => plan.operation === "restore")).toBeCloseTo(0.5, 1);
  expect(plans.some((plan) => plan.operation === "live backup" && plan.draw === "hold")).toBe(false);
});
