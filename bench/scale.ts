// How time and memory grow with size: many small files, a long stream, and a real database's dump beside pg_dump alone.
//   node bench/bench.ts scale [--files 1000000] [--stream-gb 50] [--dump-mb 1000] [--runs 3] [--only files,prune,stream,dump]
//                             [--holdfast BUILT/bin/holdfast.js] [--folder F]
// files, prune and stream run at a quarter and at the whole of the size. Needs time(1); dump needs PostgreSQL from Debian.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { buildHoldfast } from "./engine/programs.ts";
import { measureDump } from "./scale/dump.ts";
import { measureFiles } from "./scale/files.ts";
import { measurePrune } from "./scale/prune.ts";
import { measureStream } from "./scale/stream.ts";

const works = { files: measureFiles, prune: measurePrune, stream: measureStream, dump: measureDump };
const { values } = parseArgs({
  options: {
    files: { type: "string", default: "1000000" },
    "stream-gb": { type: "string", default: "50" },
    "dump-mb": { type: "string", default: "1000" },
    runs: { type: "string", default: "3" },
    only: { type: "string", default: Object.keys(works).join(",") },
    holdfast: { type: "string" },
    folder: { type: "string" },
  },
});
const only = values.only.split(",");
const size = {
  files: Number(values.files),
  streamBytes: Number(values["stream-gb"]) * 1e9,
  dumpBytes: Number(values["dump-mb"]) * 1e6,
  runs: Number(values.runs),
};
const numbersGood = Object.values(size).every((number) => number >= 1);
if (!numbersGood || only.some((name) => !(name in works))) {
  throw new Error(`Usage: sizes and --runs of 1 or more, --only of ${Object.keys(works).join(",")}`);
}

const folder = mkdtempSync(path.join(path.resolve(values.folder ?? tmpdir()), "holdfast-bench-scale-"));
try {
  const program = path.resolve(
    values.holdfast ?? buildHoldfast(path.join(import.meta.dirname, ".."), path.join(folder, "built")),
  );
  const say = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)}  ${text}\n`);
  const loadBefore = loadavg();
  const results: Record<string, unknown> = {};
  for (const [name, measure] of Object.entries(works)) {
    if (!only.includes(name)) continue;
    const own = path.join(folder, name);
    mkdirSync(own);
    results[name] = await measure({ folder: own, program, say, ...size });
    rmSync(own, { recursive: true, force: true });
  }
  const machine = { processors: cpus().length, model: cpus()[0]?.model ?? "", loadBefore, loadAfter: loadavg() };
  process.stdout.write(`${JSON.stringify({ benchmark: "scale", size, machine, results }, null, 2)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
