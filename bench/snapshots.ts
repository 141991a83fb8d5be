// What commands take in a repository of many backups, as whole processes: wall and CPU time, peak memory.
//   node bench/bench.ts snapshots [--count 1000] [--runs 5] [--only list,stats] [--holdfast BUILT/bin/holdfast.js] [--folder F]
// With --folder the repository is made there and stays, so that the next run has it, or adds to it. Needs time(1).
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { type Cost, runMeasured } from "./engine/measured-command.ts";
import { buildHoldfast } from "./engine/programs.ts";
import { filesChanged, filesInBackup, makeBackups } from "./snapshots/make-backups.ts";
import { costText } from "./scale/scale-plan.ts";

const commands: Readonly<Record<string, readonly string[]>> = {
  list: ["backup:list"],
  get: ["backup:get", "-P", "id"],
  sizes: ["backup:get"],
  stats: ["repo:stats"],
  check: ["repo:check"],
  prune: ["repo:prune", "--dry-run"],
  repair: ["repo:repair", "--dry-run"],
};
const { values } = parseArgs({
  options: {
    count: { type: "string", default: "1000" },
    runs: { type: "string", default: "5" },
    only: { type: "string", default: Object.keys(commands).join(",") },
    holdfast: { type: "string" },
    folder: { type: "string" },
    "make-only": { type: "boolean", default: false },
  },
});
const [count, runs] = [Number(values.count), Number(values.runs)];
const only = values.only.split(",");
if (!(count >= 1) || !(runs >= 1) || only.some((name) => !(name in commands))) {
  throw new Error(`Usage: --count and --runs of 1 or more, --only of ${Object.keys(commands).join(",")}`);
}
const say = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)}  ${text}\n`);

const folder = path.resolve(values.folder ?? mkdtempSync(path.join(tmpdir(), "holdfast-bench-snapshots-")));
try {
  mkdirSync(folder, { recursive: true });
  await makeBackups(folder, count, say);
  if (!values["make-only"]) measure();
} finally {
  if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
}

function measure(): void {
  const built = path.join(folder, "built");
  const program = path.resolve(values.holdfast ?? buildHoldfast(path.join(import.meta.dirname, ".."), built));
  const loadBefore = loadavg();
  const results: Record<string, readonly Cost[]> = {};
  for (const name of only) {
    const command = [process.execPath, program, ...(commands[name] ?? []), "--quiet"];
    results[name] = Array.from({ length: runs }, () =>
      runMeasured(command, { timeFile: path.join(folder, "time"), cwd: folder }),
    );
    for (const cost of results[name]) say(`${name}: ${costText(cost)}`);
  }
  const machine = { processors: cpus().length, model: cpus()[0]?.model ?? "", loadBefore, loadAfter: loadavg() };
  const size = { backups: count, filesInBackup, filesChanged };
  process.stdout.write(`${JSON.stringify({ benchmark: "snapshots", size, runs, machine, results }, null, 2)}\n`);
}
