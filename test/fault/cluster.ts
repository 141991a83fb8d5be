// The example of deploy/cluster under kill -9: two API servers behind HAProxy, three workers, PostgreSQL, leases as in production.
// At each seeded moment every environment is backed up, some are restored before, and a worker or an API server is killed
// meanwhile and started again:  npx node test/fault/cluster.ts [--seed N] [--moments M]
// Prints a line of JSON for each moment, then a summary. Exit code 1 if anything was not as it must be. A moment takes up to 40 s:
// a dead worker's lease has to end. SIGINT and SIGTERM end it after the moment that it is at.
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Cluster } from "../../deploy/cluster/cluster.ts";
import { ClusterRun } from "./cluster/cluster-run.ts";

const { values } = parseArgs({
  options: { seed: { type: "string", default: "1" }, moments: { type: "string", default: "20" } },
});
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());

const folder = mkdtempSync(join(tmpdir(), "holdfast-cluster-fault-"));
const cluster = await Cluster.start(folder);
const run = new ClusterRun(cluster, Number(values.seed));
let moments = 0;
let wrong = 0;
try {
  while (moments < Number(values.moments) && !stop.signal.aborted) {
    moments += 1;
    const moment = await run.moment(moments);
    if (moment.problems.length > 0) wrong += 1;
    process.stdout.write(`${JSON.stringify({ ...moment, load: loadavg()[0] })}\n`);
  }
} finally {
  await run.stop();
  await cluster.stop();
}
process.stdout.write(`${JSON.stringify({ seed: Number(values.seed), moments, wrong, ...run.traffic })}\n`);
// What went wrong is in the folder.
if (wrong === 0) rmSync(folder, { recursive: true });
process.exitCode = wrong > 0 ? 1 : 0;
