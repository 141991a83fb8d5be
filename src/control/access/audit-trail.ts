import { type Facts, newOperationId, type ProjectId } from "../../base/index.ts";
import type { Actor } from "../activities/activity.ts";
import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import type { AuditRow, CatalogQueries } from "../catalog/catalog-schema.ts";

/** What was changed (spec A4). */
export interface AuditedChange {
  /** "backup.create", "api-token.delete": what, then what happened to it. */
  readonly action: string;
  readonly project?: string;
  readonly environment?: string;
  /** The id of what was changed. */
  readonly subject?: string;
  /** Never secrets. */
  readonly facts?: Facts;
}

export interface AuditEntry extends AuditedChange {
  readonly id: string;
  readonly at: Date;
  readonly author: Actor;
}

export interface AuditFilter {
  readonly project?: ProjectId;
  /** Entries older than this. */
  readonly before?: Date;
  readonly limit: number;
}

/**
 * Who changed what, from where, when. Entries are written in the transaction of the change, and never changed or removed.
 */
export class AuditTrail {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /** Of a change that is made outside of the catalog: before it is begun, so that none is made without its entry. */
  record(author: Actor, change: AuditedChange): Promise<void> {
    return this.#database.change((transaction) =>
      writeAuditEntry(transaction, this.#database.clock.now().getTime(), author, change),
    );
  }

  /** Newest first. */
  list(filter: AuditFilter): Promise<readonly AuditEntry[]> {
    return this.#database.use(async (queries) => {
      let query = queries
        .selectFrom("audit")
        .selectAll()
        .orderBy("at", "desc")
        .orderBy("id", "desc")
        .limit(filter.limit);
      if (filter.project !== undefined) query = query.where("project", "=", filter.project);
      if (filter.before !== undefined) query = query.where("at", "<", filter.before.getTime());
      return (await query.execute()).map(entryOf);
    });
  }
}

/** Writes an entry within the transaction of the change that it tells of. */
export async function writeAuditEntry(
  transaction: CatalogQueries,
  nowMs: number,
  author: Actor,
  change: AuditedChange,
): Promise<void> {
  await transaction
    .insertInto("audit")
    .values({
      id: newOperationId(),
      at: nowMs,
      project: change.project ?? null,
      environment: change.environment ?? null,
      actor: author.id,
      actor_name: author.name,
      address: author.address,
      action: change.action,
      target: change.subject ?? null,
      detail: JSON.stringify({
        ...change.facts,
        ...(author.requestId === undefined ? {} : { request: author.requestId }),
      }),
    })
    .execute();
}

function entryOf(row: AuditRow): AuditEntry {
  const { request, ...facts } = JSON.parse(row.detail) as Facts;
  return {
    id: row.id,
    at: new Date(row.at),
    author: {
      id: row.actor,
      name: row.actor_name,
      address: row.address,
      ...(typeof request === "string" ? { requestId: request } : {}),
    },
    action: row.action,
    ...(row.project === null ? {} : { project: row.project }),
    ...(row.environment === null ? {} : { environment: row.environment }),
    ...(row.target === null ? {} : { subject: row.target }),
    facts,
  };
}
