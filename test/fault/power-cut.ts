// Cuts the power of a disk with the embedded catalog on it, again and again: a file system in an image, which is copied as it
// is while a process writes to the catalog, mounted, and opened. What the catalog acknowledged before must be there.
//   node test/fault/power-cut.ts [--cuts 20] [--seed 1]        needs root, for mount
// Prints a line of JSON for each cut, then a summary. Exit code 1 if anything was lost.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { randomFrom } from "./kill-plan.ts";
import { CatalogWriter, missingIn } from "./power-cut/cut-power.ts";

const { values } = parseArgs({
  options: { cuts: { type: "string", default: "20" }, seed: { type: "string", default: "1" } },
});
const run = (command: string, ...args: string[]): void => void execFileSync(command, args, { stdio: "pipe" });
const folder = mkdtempSync(join(tmpdir(), "holdfast-power-cut-"));
const [disk, after, image, copy] = ["disk", "after", "image", "copy"].map((name) => join(folder, name)) as [
  string,
  string,
  string,
  string,
];
for (const path of [disk, after]) mkdirSync(path);
const random = randomFrom(Number(values.seed));
let lost = 0;
let acknowledged = 0;
let writer: CatalogWriter | undefined;
run("truncate", "-s", "256M", image);
run("mkfs.ext4", "-q", "-F", image);
run("mount", "-o", "loop", image, disk);
try {
  writer = new CatalogWriter(join(disk, "catalog.db"));
  for (let cut = 1; cut <= Number(values.cuts); cut += 1) {
    await writer.writeMore(1 + Math.floor(random() * 300));
    const lines = await writer.cut((lines) => {
      copyFileSync(image, copy);
      return lines;
    });
    run("mount", "-o", "loop", copy, after);
    let missing: string[];
    try {
      missing = await missingIn(join(after, "catalog.db"), lines);
    } finally {
      run("umount", after);
    }
    acknowledged = lines.length;
    lost += missing.length;
    process.stdout.write(`${JSON.stringify({ cut, acknowledged, missing: missing.slice(0, 10) })}\n`);
  }
} finally {
  await writer?.stop();
  run("umount", disk);
  rmSync(folder, { recursive: true });
}
process.stdout.write(`${JSON.stringify({ cuts: Number(values.cuts), acknowledged, lost })}\n`);
process.exitCode = lost > 0 ? 1 : 0;
