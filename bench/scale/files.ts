import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Cost } from "../engine/measured-command.ts";
import { Holdfast } from "../engine/programs.ts";
import { costText, type ScalePlan } from "./scale-plan.ts";

const filesInFolder = 1000;

interface FilesFigures {
  readonly files: number;
  readonly first: Cost;
  readonly unchanged: readonly Cost[];
}

/** A first backup of many files of about 100 bytes, all different, and then of the same unchanged. */
export function measureFiles(plan: ScalePlan): FilesFigures[] {
  const root = path.join(plan.folder, "data");
  const results: FilesFigures[] = [];
  let made = 0;
  for (const files of [Math.ceil(plan.files / 4), plan.files]) {
    makeFiles(root, made, files);
    made = files;
    const holdfast = new Holdfast(path.join(plan.folder, "holdfast"), root, plan.program);
    holdfast.init();
    const first = holdfast.backup();
    plan.say(`${files} files, first: ${costText(first)}`);
    const unchanged = Array.from({ length: plan.runs }, () => {
      const cost = holdfast.backup();
      plan.say(`${files} files, unchanged: ${costText(cost)}`);
      return cost;
    });
    results.push({ files, first, unchanged });
  }
  return results;
}

/** The path of a file by its number. */
export function fileOf(root: string, number: number): string {
  return path.join(root, `folder-${Math.floor(number / filesInFolder)}`, `file-${number}`);
}

/** Files of about 100 bytes, all different. */
export function makeFiles(root: string, from: number, to: number): void {
  // What was written a moment ago cannot be told from what is being written.
  const past = new Date(Date.now() - 86_400_000);
  for (let number = from; number < to; number += 1) {
    const file = fileOf(root, number);
    if (number % filesInFolder === 0 || number === from) mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(
      file,
      `This is file number ${number}. ${"It has a hundred bytes, or so. ".repeat(2 + (number % 3))}\n`,
    );
    utimesSync(file, past, past);
  }
}
