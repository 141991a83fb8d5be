// A worker process that kills itself at its n-th step: before and after each step of a component, each call that writes to
// the catalog. Arguments: folder, the catalog's place as JSON, n (0: never), milliseconds of a lease.
// Prints "working" once it works, "killing TIME" before it kills itself.
import { writeSync } from "node:fs";
import { join } from "node:path";
import { silentLogger, systemClock } from "../../../src/base/index.ts";
import { ActivityWorker, type CatalogPlace, lockWorker, openCatalog, workerPlace } from "../../../src/control/index.ts";
import { countCatalog } from "./counted-catalog.ts";
import { siteHost } from "./worker-site.ts";

const [folder = "", placeText = "", killAt, leaseMs] = process.argv.slice(2);
const place = JSON.parse(placeText) as CatalogPlace;
const state = join(folder, "state");
let steps = 0;
const step = (): void => {
  steps += 1;
  if (steps !== Number(killAt)) return;
  writeSync(1, `killing ${Date.now()}\n`);
  process.kill(process.pid, "SIGKILL");
};

const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());
const catalog = countCatalog(await openCatalog(place, { clock: systemClock, timeoutMs: 30_000 }), step);
const id = await workerPlace(state);
if ("file" in place) {
  await lockWorker(state);
  await catalog.queue.endLeases(id);
}
const worker = new ActivityWorker({
  catalog,
  host: siteHost(folder, catalog, { at: step }),
  id: `worker ${process.pid}`,
  place: id,
  clock: systemClock,
  log: silentLogger,
  leaseMs: Number(leaseMs),
  pollMs: 100,
});
writeSync(1, "working\n");
await worker.run(stop.signal);
await catalog.close();
