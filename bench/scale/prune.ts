import { rmSync } from "node:fs";
import path from "node:path";
import type { Cost } from "../engine/measured-command.ts";
import { Holdfast } from "../engine/programs.ts";
import { fileOf, makeFiles } from "./files.ts";
import { costText, type ScalePlan } from "./scale-plan.ts";

interface PruneFigures {
  /** Each file is a blob of its own. */
  readonly files: number;
  readonly plan: Cost;
  readonly prune: Cost;
  /** Of a prune that finds nothing to do. */
  readonly again: Cost;
}

/** Two backups, of many files and of every second of them; the first one goes, and what only it needed is freed. */
export function measurePrune(plan: ScalePlan): PruneFigures[] {
  const root = path.join(plan.folder, "data");
  return [Math.ceil(plan.files / 4), plan.files].map((files) => {
    rmSync(root, { recursive: true, force: true });
    makeFiles(root, 0, files);
    const holdfast = new Holdfast(path.join(plan.folder, "holdfast"), root, plan.program);
    holdfast.init();
    holdfast.backup();
    for (let number = 0; number < files; number += 2) rmSync(fileOf(root, number));
    holdfast.backup();
    holdfast.deleteOldest();
    const measured = (name: string, ...options: string[]): Cost => {
      const cost = holdfast.command("repo:prune", "--max-unused", "0", "--safety-time", "0", ...options);
      plan.say(`${files} files, ${name}: ${costText(cost)}`);
      return cost;
    };
    return {
      files,
      plan: measured("prune planned", "--dry-run"),
      prune: measured("prune"),
      again: measured("nothing to prune"),
    };
  });
}
