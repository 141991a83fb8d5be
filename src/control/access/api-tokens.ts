import { randomUUID } from "node:crypto";
import { HoldfastError } from "../../base/index.ts";
import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import type { ApiTokenRow } from "./access-schema.ts";
import type { Actor } from "../activities/activity.ts";
import { writeAuditEntry } from "./audit-trail.ts";
import { newSecret } from "./secret.ts";
import { assertOneLine, type UserId, userRow } from "./users.ts";

/** What is known of a token; the token itself is shown once and kept nowhere. */
export interface ApiToken {
  /** A UUID. */
  readonly id: string;
  readonly user: UserId;
  readonly name: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly lastUsedAt: Date | null;
}

/** Tokens that machines sign in with (spec A2). They are valid until they are deleted. */
export class ApiTokens {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /** Newest first. */
  list(user: UserId): Promise<readonly ApiToken[]> {
    return this.#database.use(async (queries) => {
      const rows = await queries
        .selectFrom("api_tokens")
        .selectAll()
        .where("user_id", "=", user)
        .orderBy("created_at", "desc")
        .orderBy("id", "desc")
        .execute();
      return rows.map(tokenOf);
    });
  }

  get(user: UserId, id: string): Promise<ApiToken | undefined> {
    return this.#database.use(async (queries) => {
      const row = await queries
        .selectFrom("api_tokens")
        .selectAll()
        .where("user_id", "=", user)
        .where("id", "=", id)
        .executeTakeFirst();
      return row === undefined ? undefined : tokenOf(row);
    });
  }

  /** `secret` is the token: this is the only time that it is there. @throws HoldfastError USER_NOT_FOUND, INPUT_INVALID */
  async create(user: UserId, name: string, author: Actor): Promise<ApiToken & { readonly secret: string }> {
    assertOneLine(name, "A token's name");
    return this.#database.change(async (transaction) => {
      const nowMs = this.#database.clock.now().getTime();
      const { email } = await userRow(transaction, user);
      const { secret, hash } = newSecret("hft");
      const row: ApiTokenRow = {
        id: randomUUID(),
        user_id: user,
        name,
        hash,
        created_at: nowMs,
        updated_at: nowMs,
        last_used_at: null,
      };
      await transaction.insertInto("api_tokens").values(row).execute();
      await writeAuditEntry(transaction, nowMs, author, {
        action: "api-token.create",
        subject: row.id,
        facts: { name, email },
      });
      return { ...tokenOf(row), secret };
    });
  }

  /** What it was exchanged for ends with it, at once. @throws HoldfastError TOKEN_NOT_FOUND */
  delete(user: UserId, id: string, author: Actor): Promise<void> {
    return this.#database.change(async (transaction) => {
      const row = await transaction
        .deleteFrom("api_tokens")
        .where("user_id", "=", user)
        .where("id", "=", id)
        .returning("name")
        .executeTakeFirst();
      if (row === undefined) throw tokenNotFound(id);
      await transaction.deleteFrom("sessions").where("api_token_id", "=", id).execute();
      await writeAuditEntry(transaction, this.#database.clock.now().getTime(), author, {
        action: "api-token.delete",
        subject: id,
        facts: { name: row.name },
      });
    });
  }
}

export function tokenNotFound(id: string): HoldfastError {
  return new HoldfastError("TOKEN_NOT_FOUND", `There is no API token ${id}.`, { facts: { token: id } });
}

function tokenOf(row: ApiTokenRow): ApiToken {
  return {
    id: row.id,
    user: row.user_id as UserId,
    name: row.name,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
    lastUsedAt: row.last_used_at === null ? null : new Date(row.last_used_at),
  };
}
