import type { Shop } from "./shop.ts";

/** How much data a shop is filled with. */
export interface SeedOptions {
  /** In each of the two databases and the cache. */
  readonly databaseBytes: number;
  readonly files: number;
  readonly filesBytes: number;
}

const rowBytes = 8_000;
const cacheValueBytes = 4_000;

/** Fills the shop up to this size; what is there already counts, so that a second call does nothing. */
export async function seedShop(shop: Shop, options: SeedOptions): Promise<void> {
  const rows = Math.ceil(options.databaseBytes / rowBytes);
  await Promise.all([
    shop.orders.seed(rows, rowBytes),
    shop.shipments.seed(rows, rowBytes),
    shop.cache.seed(Math.ceil(options.databaseBytes / cacheValueBytes), cacheValueBytes),
    options.files === 0 ? undefined : shop.uploads.seed(options.files, Math.round(options.filesBytes / options.files)),
  ]);
}
