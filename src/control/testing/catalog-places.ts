import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll } from "vitest";
import { type PostgresqlServer, startPostgresql } from "../../services/conformance/index.ts";
import type { CatalogKind } from "../catalog/catalog-schema.ts";
import type { CatalogPlace } from "../catalog/open-catalog.ts";

export const catalogKinds = ["sqlite", "postgresql"] as const satisfies readonly CatalogKind[];

export interface CatalogPlaces {
  /** A folder of the test file's own. */
  readonly folder: () => string;
  /** Where no catalog is yet. */
  readonly fresh: (kind: CatalogKind) => CatalogPlace;
  /** The PostgreSQL server that all its catalogs of that kind are on. */
  readonly server: () => PostgresqlServer;
  /** Runs SQL as another program would. */
  readonly sql: (place: CatalogPlace, sql: string) => void;
}

/** Gives the test file a folder and a PostgreSQL server for catalogs. */
export function useCatalogPlaces(): CatalogPlaces {
  let folder = "";
  let server: PostgresqlServer | undefined;
  let count = 0;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-catalogs-"));
    server = await startPostgresql();
  }, 60_000);
  afterAll(async () => {
    await server?.stop();
    await rm(folder, { recursive: true });
  });
  const running = (): PostgresqlServer => {
    if (server === undefined) throw new Error("The PostgreSQL server has not been started.");
    return server;
  };
  return {
    folder: () => folder,
    server: running,
    fresh: (kind) => {
      count += 1;
      if (kind === "sqlite") return { file: join(folder, `catalog-${count}.db`) };
      running().sql("postgres", `CREATE DATABASE catalog_${count}`);
      return { url: running().url(`catalog_${count}`) };
    },
    sql: (place, sql) => {
      if ("url" in place) {
        running().sql(new URL(place.url).pathname.slice(1), sql);
        return;
      }
      const database = new DatabaseSync(place.file);
      database.exec(sql);
      database.close();
    },
  };
}
