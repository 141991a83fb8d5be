// Starts two API servers behind HAProxy and three workers on PostgreSQL, all on this machine, backs up through them, kills one API
// server and one worker meanwhile, and stops everything:  npx node deploy/cluster/run.ts [--keep]
// With --keep it goes on until Ctrl-C. Needs PostgreSQL and HAProxy (Debian: apt install postgresql haproxy).
import { mkdtemp, rm } from "node:fs/promises";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Cluster, environments } from "./cluster.ts";

const { values } = parseArgs({ options: { keep: { type: "boolean", default: false } } });
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());

async function demonstrate(cluster: Cluster): Promise<void> {
  say(`Two API servers behind ${cluster.url}, three workers; everything is in ${cluster.folder}.`);
  const asked = await Promise.all(environments.map((name) => cluster.backUp(name, name === "main")));
  for (const [n, id] of asked.entries()) {
    const { result, log } = await cluster.end(id);
    const hold = /hold: [^"\\]*/.exec(log)?.[0];
    say(`A backup of ${environments[n]}: ${String(result)}${hold === undefined ? "" : ` (${hold})`}`);
  }
  await cluster.stopMember("api-1", "SIGKILL");
  await cluster.stopMember("worker-2", "SIGKILL");
  const id = await cluster.backUp("staging", false);
  say(
    "An API server and the worker of staging were killed; the other API server has taken the request for a backup of it.",
  );
  await cluster.startMember("worker-2");
  say(`The worker runs again, the backup: ${String((await cluster.end(id)).result)}`);
  const backups = await cluster.ask<readonly unknown[]>("/projects/shop/environments/staging/backups");
  say(`Backups of staging: ${backups.length}`);
}

const folder = await mkdtemp(join(tmpdir(), "holdfast-cluster-"));
try {
  const cluster = await Cluster.start(folder);
  try {
    await demonstrate(cluster);
    if (values.keep && !interrupted.signal.aborted) {
      say("It goes on until Ctrl-C.");
      await once(interrupted.signal, "abort");
    }
  } finally {
    await cluster.stop();
  }
} finally {
  await rm(folder, { recursive: true });
}
