import { createHash, randomUUID } from "node:crypto";
import type { OrderCache, OrderDatabase, OrderRow } from "./order.ts";
import { MariadbOrders } from "./stores/mariadb-orders.ts";
import { PostgresqlOrders } from "./stores/postgresql-orders.ts";
import { RedisCache } from "./stores/redis-cache.ts";
import { SqliteCache } from "./stores/sqlite-cache.ts";
import { SqliteOrders } from "./stores/sqlite-orders.ts";
import { Uploads } from "./stores/uploads.ts";

/** Where the shop's data is. */
export interface ShopConfig {
  /** `postgresql://`, `mysql://` or `sqlite:/absolute/path`: the orders. */
  readonly ordersUrl: string;
  /** The same: the warehouse's shipments. */
  readonly shipmentsUrl: string;
  /** `redis://` or `sqlite:/absolute/path`. */
  readonly cacheUrl: string;
  /** Folder of the uploaded files. */
  readonly mediaFolder: string;
}

export interface NewOrder {
  readonly customer: string;
  readonly product: string;
  readonly quantity: number;
  readonly upload: Uint8Array;
}

/** The stores, and the one thing that the shop does: an order, which is in all of them or is not acknowledged. */
export class Shop {
  readonly orders: OrderDatabase;
  readonly shipments: OrderDatabase;
  readonly cache: OrderCache;
  readonly uploads: Uploads;

  private constructor(config: ShopConfig) {
    this.orders = orderDatabase(config.ordersUrl, "orders");
    this.shipments = orderDatabase(config.shipmentsUrl, "shipments");
    this.cache = config.cacheUrl.startsWith("sqlite:")
      ? new SqliteCache(config.cacheUrl.slice("sqlite:".length))
      : new RedisCache(config.cacheUrl);
    this.uploads = new Uploads(config.mediaFolder);
  }

  /** Connects, and makes the tables if they are missing. */
  static async open(config: ShopConfig): Promise<Shop> {
    const shop = new Shop(config);
    try {
      await Promise.all([shop.orders.prepare(), shop.shipments.prepare(), shop.cache.prepare()]);
    } catch (error) {
      await shop.close();
      throw error;
    }
    return shop;
  }

  /** Resolves when the order is durable in every store. */
  async place(order: NewOrder): Promise<OrderRow> {
    const sha256 = createHash("sha256").update(order.upload).digest("hex");
    const { customer, product, quantity } = order;
    const row: OrderRow = { id: randomUUID(), createdAtMs: Date.now(), customer, product, quantity, sha256 };
    // One after the other, as applications do: between two of them the stores differ.
    await this.uploads.put(row.id, order.upload);
    await this.orders.put(row);
    await this.shipments.put(row);
    await this.cache.put(row.id, sha256);
    return row;
  }

  async close(): Promise<void> {
    await Promise.all([this.orders.close(), this.shipments.close(), this.cache.close()]);
  }
}

function orderDatabase(url: string, table: string): OrderDatabase {
  const scheme = url.slice(0, url.indexOf(":"));
  switch (scheme) {
    case "postgresql":
    case "postgres":
      return new PostgresqlOrders(url, table);
    case "mysql":
      return new MariadbOrders(url, table);
    case "sqlite":
      return new SqliteOrders(url.slice("sqlite:".length), table);
    default:
      throw new TypeError(`No database can be reached by ${scheme}:`);
  }
}

/**
 * The configuration from the environment: `SHOP_ORDERS_URL`, `SHOP_SHIPMENTS_URL`, `SHOP_CACHE_URL`, `SHOP_MEDIA`.
 * @throws TypeError if one is missing
 */
export function shopConfigFrom(environment: NodeJS.ProcessEnv): ShopConfig {
  const need = (name: string): string => {
    const value = environment[name];
    if (value === undefined || value === "") throw new TypeError(`The environment variable ${name} is not set.`);
    return value;
  };
  return {
    ordersUrl: need("SHOP_ORDERS_URL"),
    shipmentsUrl: need("SHOP_SHIPMENTS_URL"),
    cacheUrl: need("SHOP_CACHE_URL"),
    mediaFolder: need("SHOP_MEDIA"),
  };
}

/** The same, for a shop's process. */
export function shopEnvironment(config: ShopConfig): Record<string, string> {
  return {
    SHOP_ORDERS_URL: config.ordersUrl,
    SHOP_SHIPMENTS_URL: config.shipmentsUrl,
    SHOP_CACHE_URL: config.cacheUrl,
    SHOP_MEDIA: config.mediaFolder,
  };
}
