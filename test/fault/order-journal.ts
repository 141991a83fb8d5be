import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type CheckReport, checkShop } from "../../examples/shop/checker.ts";
import { Shop } from "../../examples/shop/shop.ts";
import type { Site } from "../../examples/shop/site.ts";
import type { AcknowledgedOrder } from "../../examples/shop/traffic.ts";

/** Which orders customers were told that they have, since what the environment was last restored to. */
export class OrderJournal {
  readonly path: string;
  readonly #site: Site;
  /** Orders that a half swapped environment took, and that it is allowed to have in some stores only. */
  readonly #halves = new Set<string>();

  constructor(site: Site) {
    this.#site = site;
    this.path = path.join(site.folder, "orders.ndjson");
    writeFileSync(this.path, "", { flag: "a" });
  }

  /** All of them, in the order of their answers. */
  read(): AcknowledgedOrder[] {
    const text = existsSync(this.path) ? readFileSync(this.path, "utf8") : "";
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as AcknowledgedOrder);
  }

  /** Forgets those that a restore took back. */
  keep(orders: readonly AcknowledgedOrder[]): void {
    writeFileSync(this.path, orders.map((order) => `${JSON.stringify(order)}\n`).join(""));
  }

  /** Allows an order to be in some stores only from now on. */
  allowHalf(ids: Iterable<string>): void {
    for (const id of ids) this.#halves.add(id);
  }

  /** Compares stores and journal. Nobody may order meanwhile. */
  async check(acknowledgedBeforeMs = Infinity): Promise<CheckReport> {
    const shop = await Shop.open(this.#site.services.config);
    try {
      const report = await checkShop(shop, { journalPath: this.path, acknowledgedBeforeMs });
      const faults = report.faults.filter(({ id }) => !this.#halves.has(id));
      return { ...report, faults, agrees: faults.length === 0 && report.lostCount === 0 };
    } finally {
      await shop.close();
    }
  }
}
