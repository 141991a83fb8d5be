// Backups and restores of file trees beside restic and borg, as whole processes: wall and CPU time, peak memory.
//   (a) first backup of 2 GiB of large files   (b) of 100,000 small ones   (c) both, unchanged   (d) both, 1 % changed
//   (e) restore into an empty folder           (f) restore over a tree that is 99 % there
//   node bench/bench.ts engine [--scale 0.25] [--runs 5] [--only a,b] [--cold] [--programs holdfast,verified,restic,borg]
//                              [--holdfast BUILT/bin/holdfast.js] [--folder F]
// --cold empties the system's caches before each run (as root; the whole machine feels it). --holdfast measures another
// build than this checkout's. The program "verified", measured only if it is named, is Holdfast with verifyWrites: it reads
// back what it has stored. Needs the Debian packages restic, borgbackup and time.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { dataSize, makeLargeFiles, makeSmallFiles, settleTimes } from "./engine/data.ts";
import { tableLines, type WorkFigures } from "./engine/figures.ts";
import { Borg, buildHoldfast, Holdfast, type Program, Restic } from "./engine/programs.ts";
import { type Tree, type WorkName, workNames, Works } from "./engine/works.ts";

const { values } = parseArgs({
  options: {
    scale: { type: "string", default: "1" },
    runs: { type: "string", default: "5" },
    only: { type: "string", default: workNames.join(",") },
    programs: { type: "string", default: "holdfast,restic,borg" },
    cold: { type: "boolean", default: false },
    holdfast: { type: "string" },
    folder: { type: "string" },
  },
});
const say = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)}  ${text}\n`);

const scale = Number(values.scale);
const runs = Number(values.runs);
const only = values.only.split(",");
const unknown = only.filter((name) => !workNames.some((known) => known === name));
if (!(scale > 0) || !Number.isInteger(runs) || runs < 1 || unknown.length > 0) {
  throw new Error(`Usage: --scale above 0, --runs 1 or more, --only of ${workNames.join(",")}`);
}
const wanted = values.programs.split(",");

const folder =
  values.folder === undefined
    ? mkdtempSync(path.join(tmpdir(), "holdfast-bench-engine-"))
    : mkdtempSync(path.join(path.resolve(values.folder), "engine-"));
try {
  const program = values.holdfast ?? buildHoldfast(path.join(import.meta.dirname, ".."), path.join(folder, "built"));
  const data = path.join(folder, "data");
  const size = dataSize(scale);
  makeLargeFiles(path.join(data, "large"), size);
  makeSmallFiles(path.join(data, "small"), size);
  settleTimes(data);
  const largeMb = Math.round((size.largeFiles * size.largeFileBytes) / 1e6);
  say(`${largeMb} MB in ${size.largeFiles} large files, ${size.folders * size.filesInFolder} small files`);
  const tree = (name: string, root: string): Tree => {
    const own = (of: string): string => path.join(folder, "programs", name, of);
    const programs: Program[] = [
      new Holdfast(own("holdfast"), root, path.resolve(program)),
      new Holdfast(own("verified"), root, path.resolve(program), { verifyWrites: true }),
      new Restic(own("restic"), root),
      new Borg(own("borg"), root),
    ];
    return { root, programs: programs.filter((one) => wanted.includes(one.name)) };
  };
  const scratch = path.join(folder, "scratch");
  mkdirSync(scratch);
  const works = new Works({
    trees: {
      large: tree("large", path.join(data, "large")),
      small: tree("small", path.join(data, "small")),
      both: tree("both", data),
    },
    scratch,
    runs,
    cold: values.cold,
    say,
  });
  const loadBefore = loadavg();
  const results: WorkFigures[] = [];
  for (const name of workNames) {
    if (!only.includes(name)) continue;
    const figures = works.run(name satisfies WorkName);
    results.push(figures);
    process.stderr.write(`${tableLines(figures).join("\n")}\n`);
  }
  const machine = { processors: cpus().length, model: cpus()[0]?.model ?? "", loadBefore, loadAfter: loadavg() };
  process.stdout.write(`${JSON.stringify({ benchmark: "engine", scale, runs, size, machine, results }, null, 2)}\n`);
  process.stderr.write(`\n${results.flatMap(tableLines).join("\n")}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
