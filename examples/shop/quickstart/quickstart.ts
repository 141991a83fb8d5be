// npm run quickstart: the shop behind the gateway, customers, a safe and a live backup, a disaster, a restore, and a page
// that says what happened. Everything stays in ./quickstart, which is made anew each time.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { formatDuration, HoldfastError } from "../../../src/base/index.ts";
import { checkShop } from "../checker.ts";
import { Shop } from "../shop.ts";
import { hasSite, type Site, startSite } from "../site.ts";
import { startTraffic, type Traffic } from "../traffic.ts";
import { type BackupFigures, page, type RestoreFigures } from "./page.ts";

const repositoryRoot = path.join(import.meta.dirname, "../../..");
const folder = path.join(repositoryRoot, "quickstart");
const requestsPerSecond = 40;
/** On a machine that cannot keep up, customers stay away rather than queue up for longer than a hold may wait. */
const mostRunning = 30;

const startedAtMs = performance.now();
const say = (text: string): void => {
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1).padStart(5);
  process.stderr.write(`${seconds} s  ${text}\n`);
};
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs a command of the CLI that prints JSON. @throws Error with what it said if it fails */
async function json<T>(site: Site, args: readonly string[]): Promise<T> {
  const { exitCode, stdout, stderr } = await site.holdfast([...args, "--yes", "--format", "json"]);
  if (exitCode !== 0 && exitCode !== 3) throw new Error(`holdfast ${args.join(" ")} exited with ${exitCode}:\n${stderr.trim().split("\n").at(-1) ?? ""}`);
  return JSON.parse(stdout) as T;
}

/** Makes the folder anew; refuses to touch one that is not ours. */
function clearFolder(): void {
  if (!existsSync(folder)) return;
  if (!hasSite(folder) && readdirSync(folder).length > 0) {
    throw new HoldfastError("INPUT_INVALID", `${folder} is there already and was not made by the quickstart.`, {
      remedy: "Move it away, then try again.",
    });
  }
  rmSync(folder, { recursive: true });
}

/** What a bad day does: every order gone from every store, a folder of uploads deleted. */
async function destroyData(shop: Shop): Promise<void> {
  await Promise.all([shop.orders.loseOrders(), shop.shipments.loseOrders(), shop.cache.loseOrders()]);
  await shop.uploads.loseOrders();
}

/** What stock restic says of the repository, undefined if it is not installed. */
function askRestic(): string | undefined {
  const args = ["-r", path.join(folder, "repository"), "--password-file", path.join(folder, "repository.key")];
  const result = spawnSync("restic", [...args, "--no-cache", "check", "--read-data"], { encoding: "utf8" });
  if (result.error !== undefined) return undefined;
  return result.status === 0 ? (result.stdout.trim().split("\n").at(-1) ?? "") : `failed:\n${result.stderr}`;
}

async function run(site: Site, traffic: Traffic, journalPath: string): Promise<string> {
  say(`customers: ${requestsPerSecond} requests a second, half of them orders`);
  await pause(3000);
  say("safe backup: requests wait for a moment, everything is fixed at one point in time");
  const safe = await json<BackupFigures>(site, ["backup:create"]);
  await pause(1000);
  say("live backup: no request waits");
  const live = await json<BackupFigures>(site, ["backup:create", "--live"]);
  await pause(1000);
  const before = await traffic.stop();

  const shop = await Shop.open(site.services.config);
  try {
    const frozenAtMs = Math.min(...safe.components.map((one) => Date.parse(one.frozen_at)));
    say("disaster: every order and upload is deleted");
    await destroyData(shop);
    const ruined = await checkShop(shop, { journalPath, acknowledgedBeforeMs: frozenAtMs });
    say(`checker: ${ruined.lostCount} of ${ruined.acknowledgedChecked} orders from before the backup are lost`);

    say("restore of the safe backup, with customers in the shop");
    const during = startTraffic({
      url: site.url,
      journalPath: path.join(folder, "orders-during-restore.ndjson"),
      requestsPerSecond,
      mostRunning,
      orderShare: 0,
    });
    const restore = await json<RestoreFigures>(site, ["backup:restore", safe.id]);
    const customers = await during.stop();
    const restored = await checkShop(shop, { journalPath, acknowledgedBeforeMs: frozenAtMs });
    say(restored.agrees ? "checker: everything is there and agrees" : "checker: SOMETHING IS WRONG");
    say("restic: check --read-data");
    const text = page({ site, safe, live, before, ruined, restore, customers, restored, restic: askRestic() });
    if (!restored.agrees || before.failed > 0 || customers.failed > 0) process.exitCode = 1;
    return text;
  } finally {
    await shop.close();
  }
}

let stopSite: (() => Promise<void>) | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    say("stopping");
    void (stopSite?.() ?? Promise.resolve()).finally(() => process.exit(130));
  });
}
try {
  clearFolder();
  say(`starting the print shop in ${folder}`);
  const site = await startSite({ folder });
  stopSite = () => site.stop();
  const journalPath = path.join(folder, "orders.ndjson");
  const traffic = startTraffic({ url: site.url, journalPath, requestsPerSecond, mostRunning });
  try {
    const text = await run(site, traffic, journalPath);
    process.stdout.write(`${text}\n`);
  } finally {
    await traffic.stop();
    await site.stop();
  }
  say(`done in ${formatDuration(performance.now() - startedAtMs)}; nothing is left running`);
} catch (error) {
  process.stderr.write(`\nquickstart: ${error instanceof Error ? error.message : String(error)}\n`);
  if (error instanceof HoldfastError && error.remedy !== undefined) process.stderr.write(`  ${error.remedy}\n`);
  process.exitCode = 1;
}
