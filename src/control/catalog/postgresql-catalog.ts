import { Kysely } from "kysely";
import { HoldfastError, messageOf } from "../../base/index.ts";
import { ActivityFeed } from "../activities/activity-feed.ts";
import { CatalogDatabase } from "./catalog-database.ts";
import { migrate } from "./catalog-migrations.ts";
import type { CatalogTables } from "./catalog-schema.ts";
import { postgresqlChanges } from "./dialect/postgresql-changes.ts";
import { postgresqlDialect } from "./dialect/postgresql-dialect.ts";
import type { OpenCatalog, OpenCatalogOptions } from "./open-catalog.ts";
import { QueryCatalog } from "./query-catalog.ts";

/**
 * The catalog in a PostgreSQL database. Processes of any number of machines may have it open.
 * @throws HoldfastError STATE_UNUSABLE
 */
export async function openPostgresqlCatalog(
  options: OpenCatalogOptions & { readonly url: string },
): Promise<OpenCatalog> {
  const name = withoutSecrets(options.url);
  const timeoutMs = options.timeoutMs ?? 10_000;
  const queries = new Kysely<CatalogTables>({ dialect: postgresqlDialect(options.url, timeoutMs) });
  try {
    await migrate(queries, "postgresql", name);
    return new QueryCatalog(
      new CatalogDatabase(queries, {
        kind: "postgresql",
        clock: options.clock,
        feed: new ActivityFeed(postgresqlChanges(options.url, timeoutMs)),
        toError: (error) => unusable(name, error),
      }),
    );
  } catch (error) {
    await queries.destroy();
    throw unusable(name, error);
  }
}

/** "postgresql://host:5432/database": what a message may name. */
function withoutSecrets(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

function unusable(name: string, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  return new HoldfastError("STATE_UNUSABLE", `The catalog ${name} cannot be used: ${reasonOf(error)}`, {
    facts: { catalog: name },
    remedy:
      "Look at server.catalog in the configuration, at the user's rights in that database, and at the server's log.",
    cause: error,
  });
}

/** A refused connection comes as one error for each address of the host, without a message of its own. */
function reasonOf(error: unknown): string {
  return error instanceof AggregateError && error.message === ""
    ? error.errors.map((one) => messageOf(one)).join("; ")
    : messageOf(error);
}
