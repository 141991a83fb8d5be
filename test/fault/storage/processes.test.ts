import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { backUpOntoFullDisk, SharedRepository } from "./processes.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "holdfast-processes-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("a process killed while it writes leaves a sound repository", { timeout: 120_000 }, async () => {
  const shared = await SharedRepository.make(folder);
  for (const [round, moment] of [20, 600, 1200].entries()) await shared.run("write", round * 1000 + 1, 1000, moment);
  expect(await shared.problems({ restic: true })).toEqual([]);
});

it("three writers and a prune at once leave a sound repository", { timeout: 120_000 }, async () => {
  const shared = await SharedRepository.make(folder);
  const writers = [1, 100, 200].map((seed) => shared.run("write", seed, 2));
  expect(await Promise.all([...writers, shared.run("prune", 0, 2)])).toEqual([0, 0, 0, 0]);
  expect(shared.reported).toBe(6);
  expect(await shared.problems({ restic: true })).toEqual([]);
});

it("a disk that fills up leaves a sound repository, and is said to be full", { timeout: 120_000 }, async () => {
  const seen = [];
  for (const blocks of [0, 40, 4000]) seen.push(await backUpOntoFullDisk(path.join(folder, String(blocks)), blocks));
  expect(seen.flatMap(({ problems }) => problems)).toEqual([]);
  expect(seen.map(({ full }) => full)).toEqual([true, true, false]);
});
