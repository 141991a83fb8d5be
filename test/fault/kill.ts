// Kills the CLI with SIGKILL at moments of backups and restores of a shop with customers in it, and looks at everything
// after each: node test/fault/kill.ts --seed N --moments M [--from K] [--folder F]
// Prints a line of JSON for each moment, then one with the summary. Exit code 1 if anything was not as it must be.
// SIGINT and SIGTERM end it after the moment that it is at.
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { summarize } from "./kill-report.ts";
import { runKills } from "./kill-run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    moments: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    folder: { type: "string" },
  },
});
const folder = path.resolve(values.folder ?? mkdtempSync(path.join(tmpdir(), "holdfast-kill-")));
// The servers' users have to get through.
mkdirSync(folder, { recursive: true });
chmodSync(folder, 0o755);
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
const report = await runKills({
  seed: Number(values.seed),
  moments: Number(values.moments),
  from: Number(values.from),
  folder,
  signal: stop.signal,
  onMoment: (moment) => process.stdout.write(`${JSON.stringify(moment)}\n`),
});
process.stdout.write(`${JSON.stringify({ seed: Number(values.seed), ...summarize(report) })}\n`);
const failed = report.problems.length > 0 || report.moments.some(({ problems }) => problems.length > 0);
// What went wrong is in the folder, too.
if (values.folder === undefined && !failed) rmSync(folder, { recursive: true, force: true });
process.exitCode = failed ? 1 : 0;
