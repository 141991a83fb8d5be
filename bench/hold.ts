// Holds and skew under traffic: the shop with PostgreSQL, MariaDB, Redis and files; safe backups in a row, then live ones,
// each restored into fresh servers and checked; then the newest safe one restored in place under traffic.
//   node bench/bench.ts hold [--backups 20] [--database-mb 200] [--files 50000] [--files-mb 2000] [--rate 50] [--folder F]
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { checkShop } from "../examples/shop/checker.ts";
import type { BackupFigures, RestoreFigures } from "../examples/shop/quickstart/page.ts";
import { seedShop } from "../examples/shop/seed.ts";
import { type ShopServices, startServices } from "../examples/shop/services.ts";
import { Shop } from "../examples/shop/shop.ts";
import { type Site, startSite } from "../examples/shop/site.ts";
import { startTraffic, type Traffic } from "../examples/shop/traffic.ts";
import { type CheckedRestore, summarise, type TakenBackup } from "./hold/summary.ts";

const { values } = parseArgs({
  options: {
    backups: { type: "string", default: "20" },
    "database-mb": { type: "string", default: "200" },
    files: { type: "string", default: "50000" },
    "files-mb": { type: "string", default: "2000" },
    rate: { type: "string", default: "50" },
    folder: { type: "string" },
  },
});
const size = {
  backups: Number(values.backups),
  databaseBytes: Number(values["database-mb"]) * 1e6,
  files: Number(values.files),
  filesBytes: Number(values["files-mb"]) * 1e6,
  requestsPerSecond: Number(values.rate),
};
const say = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)}  ${text}\n`);

async function json<T>(site: Site, args: readonly string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await site.holdfast([...args, "--yes", "--format", "json"]);
  if (exitCode !== 0 && exitCode !== 3)
    throw new Error(`holdfast ${args.join(" ")} exited with ${exitCode}:\n${stderr}`);
  return JSON.parse(stdout) as T;
}

/** Takes a backup and tells what the customers saw from the command's start until a second after its end. */
async function take(site: Site, traffic: Traffic, live: boolean): Promise<TakenBackup> {
  traffic.reset();
  const backup = await json<BackupFigures>(site, ["backup:create", ...(live ? ["--live"] : [])]);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const { requests, failed, longestMs } = traffic.report();
  const taken = { live, backup, customers: { requests, failed, longestMs }, load1: loadavg()[0] ?? 0 };
  const { hold } = backup;
  say(
    hold === null
      ? `live ${backup.id}: skew ${Math.round(backup.skew_ms)} ms, ${Math.round(backup.duration_ms)} ms, customers: ${failed} failed`
      : `safe ${backup.id}: drain ${Math.round(hold.drain_ms)} + hold ${Math.round(hold.held_ms)} ms, ${hold.requests_held} waited, ` +
          `longest ${Math.round(hold.longest_wait_ms)} ms; ${Math.round(backup.duration_ms)} ms; customers: ${failed} of ${requests} failed, longest ${Math.round(longestMs)} ms`,
  );
  return taken;
}

/** Restores a backup into the fresh servers and lets the checker look. */
async function check(
  site: Site,
  fresh: ShopServices,
  taken: TakenBackup,
  journalPath: string,
): Promise<CheckedRestore> {
  const { backup } = taken;
  const restore = await json<RestoreFigures>(site, ["backup:restore", backup.id, "--target", "fresh"]);
  const shop = await Shop.open(fresh.config);
  try {
    const acknowledgedBeforeMs = Math.min(...backup.components.map((one) => Date.parse(one.frozen_at)));
    const report = await checkShop(shop, { journalPath, acknowledgedBeforeMs });
    say(
      `${taken.live ? "live" : "safe"} ${backup.id} in fresh servers after ${Math.round(restore.duration_ms)} ms: ` +
        `${report.agrees ? "agrees" : `${report.faultCount} orders differ between stores`}, ` +
        `${report.lostCount} of ${report.acknowledgedChecked} acknowledged orders lost`,
    );
    const { agrees, faultCount, lostCount, acknowledgedChecked, seeded } = report;
    return {
      id: backup.id,
      durationMs: restore.duration_ms,
      agrees,
      faultCount,
      lostCount,
      acknowledgedChecked,
      seeded,
    };
  } finally {
    await shop.close();
  }
}

async function restoreInPlace(site: Site, traffic: Traffic, id: string) {
  traffic.reset();
  const restore = await json<RestoreFigures>(site, ["backup:restore", id]);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const { requests, failed, longestMs, failures } = traffic.report();
  say(`restored in place: customers' longest request ${Math.round(longestMs)} ms, ${failed} of ${requests} failed`);
  return { id, ...restore, customers: { requests, failed, longestMs, failures: failures.slice(0, 5) } };
}

const folder =
  values.folder === undefined ? mkdtempSync(path.join(tmpdir(), "holdfast-bench-hold-")) : path.resolve(values.folder);
mkdirSync(folder, { recursive: true });
const freshFolder = path.join(folder, "fresh");
const stops: (() => Promise<unknown>)[] = [];
try {
  say(`starting in ${folder}`);
  const fresh = await startServices({ folder: freshFolder });
  stops.push(() => fresh.stop());
  const site = await startSite({
    folder: path.join(folder, "site"),
    // The profile without a count of manual backups: all of them stay.
    profile: "commerce-starter",
    others: { fresh: { services: fresh, folder: freshFolder } },
  });
  stops.push(() => site.stop());
  const shop = await Shop.open(site.services.config);
  await seedShop(shop, size);
  await shop.close();
  say("seeded");
  const journalPath = path.join(folder, "orders.ndjson");
  const traffic = startTraffic({ url: site.url, journalPath, requestsPerSecond: size.requestsPerSecond });
  stops.push(() => traffic.stop());

  const taken: TakenBackup[] = [];
  for (const live of [false, true]) {
    for (let number = 0; number < size.backups; number += 1) taken.push(await take(site, traffic, live));
  }
  const newestSafe = taken.findLast(({ live }) => !live)?.backup.id ?? "";
  await traffic.stop();
  const restores: CheckedRestore[] = [];
  for (const one of taken) restores.push(await check(site, fresh, one, journalPath));

  const later = startTraffic({
    url: site.url,
    journalPath: path.join(folder, "orders-later.ndjson"),
    requestsPerSecond: size.requestsPerSecond,
  });
  stops.push(() => later.stop());
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const inPlace = await restoreInPlace(site, later, newestSafe);
  const summary = summarise(taken, restores);
  process.stdout.write(`${JSON.stringify({ benchmark: "hold", size, summary, inPlace, taken, restores }, null, 2)}\n`);
  if (!summary.allWell) process.exitCode = 1;
} finally {
  for (const stop of stops.reverse()) await stop();
  if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
}
