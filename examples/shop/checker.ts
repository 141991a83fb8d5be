// Says whether the shop's stores agree with one another, and with what its customers were told.
//   SHOP_...=... node examples/shop/checker.ts [--journal FILE [--acknowledged-before MILLISECONDS-SINCE-1970]]
// Prints a report as JSON; exit code 0 if all is well, else 1.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Shop, shopConfigFrom } from "./shop.ts";
import type { AcknowledgedOrder } from "./traffic.ts";

export interface CheckOptions {
  /** Journal of the traffic: every order in it must be there, unless `acknowledgedBeforeMs` is given. */
  readonly journalPath?: string;
  /** Only orders that were acknowledged before this must be there: the freeze point of a restored backup. */
  readonly acknowledgedBeforeMs?: number;
}

/** An order that is not what it should be, and why. */
export interface OrderFault {
  readonly id: string;
  readonly fault: string;
}

export interface CheckReport {
  /** True if there is no fault of any kind. */
  readonly agrees: boolean;
  /** Orders in each store. */
  readonly counts: {
    readonly orders: number;
    readonly shipments: number;
    readonly cache: number;
    readonly counter: number;
    readonly files: number;
  };
  /** Orders that are in some stores only, or differ between them. */
  readonly faults: readonly OrderFault[];
  readonly faultCount: number;
  /** Acknowledged orders that had to be there. */
  readonly acknowledgedChecked: number;
  /** Those of them that are not: their ids. */
  readonly lost: readonly string[];
  readonly lostCount: number;
  /** What the seed put in, as it is now. */
  readonly seeded: {
    readonly ordersRows: number;
    readonly ordersBytes: number;
    readonly shipmentsRows: number;
    readonly shipmentsBytes: number;
    readonly cacheKeys: number;
    readonly files: number;
  };
}

const storeNames = ["orders", "shipments", "cache", "files"] as const;

/** Compares the stores. Reads every uploaded file of an order. The shop must stand still meanwhile. */
export async function checkShop(shop: Shop, options: CheckOptions = {}): Promise<CheckReport> {
  /** Digest by order id, for each store. */
  const stores = {
    orders: new Map<string, string>(),
    shipments: new Map<string, string>(),
    cache: new Map<string, string>(),
    files: new Map<string, string>(),
  };
  for await (const order of shop.orders.orders()) stores.orders.set(order.id, order.sha256);
  for await (const order of shop.shipments.orders()) stores.shipments.set(order.id, order.sha256);
  for await (const entry of shop.cache.entries()) stores.cache.set(entry.id, entry.sha256);
  for await (const id of shop.uploads.ids()) stores.files.set(id, await shop.uploads.digest(id));
  const counter = await shop.cache.count();

  const faults: OrderFault[] = [];
  for (const id of new Set(storeNames.flatMap((name) => [...stores[name].keys()]))) {
    const missing = storeNames.filter((name) => !stores[name].has(id));
    const digests = new Set(storeNames.map((name) => stores[name].get(id)));
    if (missing.length > 0) faults.push({ id, fault: `not in ${missing.join(", ")}` });
    else if (digests.size > 1) faults.push({ id, fault: "the stores hold different digests of its file" });
  }
  if (counter !== stores.cache.size) {
    faults.push({ id: "counter", fault: `the cache counts ${counter} orders but has ${stores.cache.size}` });
  }

  const lost: string[] = [];
  let acknowledgedChecked = 0;
  for await (const order of options.journalPath === undefined ? [] : readJournal(options.journalPath)) {
    if (order.answeredAtMs >= (options.acknowledgedBeforeMs ?? Infinity)) continue;
    acknowledgedChecked += 1;
    if (storeNames.some((name) => stores[name].get(order.id) !== order.sha256)) lost.push(order.id);
  }
  const [ordersSeed, shipmentsSeed] = [await shop.orders.seeded(), await shop.shipments.seeded()];
  return {
    agrees: faults.length === 0 && lost.length === 0,
    counts: {
      orders: stores.orders.size,
      shipments: stores.shipments.size,
      cache: stores.cache.size,
      counter,
      files: stores.files.size,
    },
    faults,
    faultCount: faults.length,
    acknowledgedChecked,
    lost,
    lostCount: lost.length,
    seeded: {
      ordersRows: ordersSeed.rows,
      ordersBytes: ordersSeed.sizeBytes,
      shipmentsRows: shipmentsSeed.rows,
      shipmentsBytes: shipmentsSeed.sizeBytes,
      cacheKeys: (await shop.cache.seeded()).rows,
      files: await shop.uploads.seeded(),
    },
  };
}

/** The orders of a journal. A line that a killed process left unfinished at the end is passed over. */
export async function* readJournal(journalPath: string): AsyncIterable<AcknowledgedOrder> {
  for await (const line of createInterface({ input: createReadStream(journalPath), crlfDelay: Infinity })) {
    if (line.endsWith("}")) yield JSON.parse(line) as AcknowledgedOrder;
  }
}

/** Of each list, in what is printed; the counts are of all. */
const mostShown = 100;

if (import.meta.main) {
  const { values } = parseArgs({
    options: { journal: { type: "string" }, "acknowledged-before": { type: "string" } },
  });
  const before = values["acknowledged-before"];
  const shop = await Shop.open(shopConfigFrom(process.env));
  const report = await checkShop(shop, {
    ...(values.journal === undefined ? {} : { journalPath: values.journal }),
    ...(before === undefined ? {} : { acknowledgedBeforeMs: Number(before) }),
  });
  await shop.close();
  const shown = { ...report, faults: report.faults.slice(0, mostShown), lost: report.lost.slice(0, mostShown) };
  process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
  process.exitCode = report.agrees ? 0 : 1;
}
