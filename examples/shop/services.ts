import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { findMariadb, startMariadb } from "./servers/mariadb.ts";
import { findPostgresql, startPostgresql } from "./servers/postgresql.ts";
import { findRedis, startRedis } from "./servers/redis.ts";
import type { RunningServer } from "./servers/server-process.ts";
import type { ShopConfig } from "./shop.ts";

/** A service's entry in `holdfast.yaml`, with the user who may back up and restore. */
export type ServiceEntry =
  | { readonly type: "postgresql" | "mariadb" | "redis"; readonly url: string }
  | { readonly type: "sqlite"; readonly path: string };

/** What the shop runs on. */
export interface ShopServices {
  /** For the shop. */
  readonly config: ShopConfig;
  /** For `services` of the environment in `holdfast.yaml`: db, shipments, cache. */
  readonly entries: Readonly<Record<"db" | "shipments" | "cache", ServiceEntry>>;
  /** A line for each service: which program was found, or what stands in for it. */
  readonly found: readonly string[];
  /** Process ids of the servers. */
  readonly pids: readonly number[];
  /** Shuts all servers down. Idempotent. The data stay in the folder, except what had to be outside of it. */
  readonly stop: () => Promise<void>;
}

export interface ServicesOptions {
  /** Absolute; made if missing. Data that are there already are used again. */
  readonly folder: string;
  /** Uses SQLite for everything, whatever is installed. */
  readonly sqliteOnly?: boolean;
}

/**
 * Starts each server that is installed on a free loopback port, with its data in the folder, as an unprivileged user;
 * SQLite stands in for those that are not. A server ends with this process, however that ends (where `setpriv` is
 * installed).
 */
export async function startServices(options: ServicesOptions): Promise<ShopServices> {
  const { folder } = options;
  // Servers' own users must get through to their folders, which are closed themselves.
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const password = passwordIn(folder);
  const find = (finder: () => string | undefined): string | undefined =>
    options.sqliteOnly === true ? undefined : finder();
  const running: RunningServer[] = [];
  const found: string[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(running.map((server) => server.stop()));
  };
  const sqlite = (name: string, missing: string): { url: string; entry: ServiceEntry } => {
    const file = path.join(folder, `${name}.db`);
    found.push(`${name}: SQLite (${missing} is not installed)`);
    return { url: `sqlite:${file}`, entry: { type: "sqlite", path: file } };
  };
  const started = <T extends RunningServer>(name: string, program: string, server: T): T => {
    running.push(server);
    found.push(`${name}: ${program} on port ${server.port}`);
    return server;
  };

  const postgresql = async (): Promise<{ url: string; entry: ServiceEntry }> => {
    const program = find(findPostgresql);
    if (program === undefined) return sqlite("db", "PostgreSQL");
    const server = started("db", program, await startPostgresql(program, path.join(folder, "postgresql"), password));
    return { url: server.url, entry: { type: "postgresql", url: server.adminUrl } };
  };
  const mariadb = async (): Promise<{ url: string; entry: ServiceEntry }> => {
    const program = find(findMariadb);
    if (program === undefined) return sqlite("shipments", "MariaDB");
    const server = started("shipments", program, await startMariadb(program, path.join(folder, "mariadb"), password));
    return { url: server.url, entry: { type: "mariadb", url: server.adminUrl } };
  };
  const redis = async (): Promise<{ url: string; entry: ServiceEntry }> => {
    const program = find(findRedis);
    if (program === undefined) return sqlite("cache", "Redis");
    const server = started("cache", program, await startRedis(program, path.join(folder, "redis"), password));
    return { url: server.url, entry: { type: "redis", url: server.url } };
  };

  const all = await Promise.allSettled([postgresql(), mariadb(), redis()]);
  for (const one of all) {
    if (one.status === "fulfilled") continue;
    await stop();
    throw one.reason;
  }
  const [db, shipments, cache] = all.map(
    (one) => (one as PromiseFulfilledResult<{ url: string; entry: ServiceEntry }>).value,
  );
  if (db === undefined || shipments === undefined || cache === undefined) throw new TypeError("three were started");
  const mediaFolder = path.join(folder, "app", "public", "media");
  mkdirSync(mediaFolder, { recursive: true });
  return {
    config: { ordersUrl: db.url, shipmentsUrl: shipments.url, cacheUrl: cache.url, mediaFolder },
    entries: { db: db.entry, shipments: shipments.entry, cache: cache.entry },
    found: found.toSorted(),
    pids: running.map((server) => server.pid),
    stop,
  };
}

/** One password for all servers of the folder, made at the first start. */
function passwordIn(folder: string): string {
  const file = path.join(folder, "services.password");
  if (!existsSync(file)) writeFileSync(file, randomBytes(18).toString("hex"), { mode: 0o600 });
  return readFileSync(file, "utf8");
}
