import { rmSync } from "node:fs";
import path from "node:path";
import type { Cost } from "../engine/measured-command.ts";
import { Holdfast } from "../engine/programs.ts";
import { costText, type ScalePlan } from "./scale-plan.ts";

interface StreamFigures {
  readonly bytes: number;
  readonly backup: Cost;
  readonly repositoryBytes: number;
}

/** The dump of a service of kind command, no part of it twice; `stream-dump.ts` writes it. */
export function measureStream(plan: ScalePlan): StreamFigures[] {
  return [Math.ceil(plan.streamBytes / 4), plan.streamBytes].map((bytes) => {
    const generator = path.join(import.meta.dirname, "stream-dump.ts");
    const folder = path.join(plan.folder, "holdfast");
    const dump = [process.execPath, generator, String(bytes)];
    const services = { stream: { type: "command", dump, restore: ["true"] } };
    const holdfast = new Holdfast(folder, plan.folder, plan.program, { environment: { services } });
    holdfast.init();
    const backup = holdfast.backup();
    const repositoryBytes = holdfast.repositoryBytes();
    const stored = `${(repositoryBytes / 1e9).toFixed(1)} GB stored`;
    plan.say(`${bytes / 1e9} GB of stream: ${costText(backup)} (the largest process), ${stored}`);
    rmSync(folder, { recursive: true, force: true });
    return { bytes, backup, repositoryBytes };
  });
}
