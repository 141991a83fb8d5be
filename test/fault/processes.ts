// Kills writers at seeded moments, fills the disk at many points, lets writers and a prune work at once:
// node test/fault/processes.ts [--kills N] [--disks M]. Needs root for its file systems. Exit code 1 if anything is wrong.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { randomFrom } from "./kill-plan.ts";
import { backUpOntoFullDisk, SharedRepository } from "./storage/processes.ts";

const { values } = parseArgs({
  options: { kills: { type: "string", default: "500" }, disks: { type: "string", default: "50" } },
});
const folder = mkdtempSync(path.join(tmpdir(), "holdfast-processes-"));
const random = randomFrom(1);
const killsPerRepository = 10;

function tell(fact: Record<string, unknown>, problems: readonly string[]): void {
  process.stdout.write(`${JSON.stringify({ ...fact, problems })}\n`);
  if (problems.length > 0) process.exitCode = 1;
}

for (let kills = 0; kills < Number(values.kills); kills += killsPerRepository) {
  const place = path.join(folder, "killed");
  const shared = await SharedRepository.make(place);
  for (let at = 0; at < killsPerRepository; at += 1) {
    const work = at % 3 === 2 ? "prune" : "write";
    await shared.run(work, (kills + at) * 1000, 1000, random() * 1500);
    tell({ kill: kills + at + 1, work, reported: shared.reported }, await shared.problems({ restic: true }));
  }
  rmSync(place, { recursive: true });
}
// From no room at all to one block too little for the whole backup.
const { blocksTaken } = await backUpOntoFullDisk(path.join(folder, "disk"), 10_000);
for (let disk = 0; disk < Number(values.disks); disk += 1) {
  const blocks = Math.floor((disk * blocksTaken) / Number(values.disks));
  const { full, problems } = await backUpOntoFullDisk(path.join(folder, `disk${disk}`), blocks);
  tell({ disk: disk + 1, blocks, full }, full ? problems : [...problems, "the disk was not full"]);
}
for (const writers of [2, 4]) {
  const place = path.join(folder, `writers${writers}`);
  const shared = await SharedRepository.make(place);
  const runs = Array.from({ length: writers }, (_, at) => shared.run("write", at * 100, 5));
  const codes = await Promise.all([...runs, shared.run("prune", 0, 5)]);
  const problems = await shared.problems({ restic: true });
  if (codes.some((code) => code !== 0)) problems.push(`exit codes ${codes.join(", ")}`);
  tell({ writers, reported: shared.reported }, problems);
}
rmSync(folder, { recursive: true, force: true });
