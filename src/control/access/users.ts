import { randomUUID } from "node:crypto";
import { HoldfastError } from "../../base/index.ts";
import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import type { CatalogQueries } from "../catalog/catalog-schema.ts";
import type { UserRow } from "./access-schema.ts";
import type { Actor } from "../activities/activity.ts";
import { writeAuditEntry } from "./audit-trail.ts";

declare const brand: unique symbol;
/** A UUID. */
export type UserId = string & { readonly [brand]: "UserId" };

/** A machine user signs in with API tokens only (spec A2). */
export type UserKind = "person" | "machine";

export interface User {
  readonly id: UserId;
  readonly kind: UserKind;
  readonly email: string;
  readonly displayName: string;
  /** Of the whole installation: every project, every user. */
  readonly administrator: boolean;
  /** False until a person has used their sign-in link. */
  readonly hasPassword: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface NewUser {
  readonly kind: UserKind;
  readonly email: string;
  /** Default: the part of the e-mail address before "@". */
  readonly displayName?: string;
  readonly administrator?: boolean;
}

/** People and machine users. */
export class Users {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /** By e-mail address. */
  list(): Promise<readonly User[]> {
    return this.#database.use(async (queries) =>
      (await queries.selectFrom("users").selectAll().orderBy("email").execute()).map(userOf),
    );
  }

  get(id: UserId): Promise<User | undefined> {
    return this.#database.use(async (queries) => {
      const row = await queries.selectFrom("users").selectAll().where("id", "=", id).executeTakeFirst();
      return row === undefined ? undefined : userOf(row);
    });
  }

  findByEmail(email: string): Promise<User | undefined> {
    return this.#database.use(async (queries) => {
      const row = await queries
        .selectFrom("users")
        .selectAll()
        .where("email", "=", normalEmail(email))
        .executeTakeFirst();
      return row === undefined ? undefined : userOf(row);
    });
  }

  /** Is there anybody who may do everything? Until then the server offers its one-time link. */
  hasAdministrator(): Promise<boolean> {
    return this.#database.use(async (queries) => (await countAdministrators(queries)) > 0);
  }

  /** @throws HoldfastError USER_EXISTS, INPUT_INVALID */
  create(user: NewUser, author: Actor): Promise<User> {
    return this.#database.change((transaction) =>
      insertUser(transaction, { ...user, passwordHash: null }, this.#database.clock.now().getTime(), author),
    );
  }

  /** @throws HoldfastError USER_NOT_FOUND; INPUT_INVALID where it would leave nobody to administer */
  update(
    id: UserId,
    change: { readonly displayName?: string; readonly administrator?: boolean },
    author: Actor,
  ): Promise<User> {
    return this.#database.change(async (transaction) => {
      const nowMs = this.#database.clock.now().getTime();
      const before = await userRow(transaction, id);
      if (change.displayName !== undefined) assertOneLine(change.displayName, "A user's name");
      if (change.administrator === true) assertMayAdminister(before.kind);
      if (change.administrator === false) await this.#assertNotLastAdministrator(transaction, before);
      const administrator = change.administrator === undefined ? before.administrator : Number(change.administrator);
      const row = {
        ...before,
        display_name: change.displayName ?? before.display_name,
        administrator,
        updated_at: nowMs,
      };
      await transaction.updateTable("users").set(row).where("id", "=", id).execute();
      await writeAuditEntry(transaction, nowMs, author, {
        action: "user.update",
        subject: id,
        facts: { email: before.email, administrator: administrator === 1 },
      });
      return userOf(row);
    });
  }

  /** Their tokens, sessions and permissions go with them. @throws HoldfastError USER_NOT_FOUND, INPUT_INVALID */
  delete(id: UserId, author: Actor): Promise<void> {
    return this.#database.change(async (transaction) => {
      const row = await userRow(transaction, id);
      await this.#assertNotLastAdministrator(transaction, row);
      for (const table of ["api_tokens", "sessions", "sign_in_links", "project_access"] as const) {
        await transaction.deleteFrom(table).where("user_id", "=", id).execute();
      }
      await transaction.deleteFrom("users").where("id", "=", id).execute();
      await writeAuditEntry(transaction, this.#database.clock.now().getTime(), author, {
        action: "user.delete",
        subject: id,
        facts: { email: row.email },
      });
    });
  }

  /**
   * Whoever has neither a password nor an API token cannot sign in, so they do not count: a link may never be used.
   * @throws HoldfastError INPUT_INVALID
   */
  async #assertNotLastAdministrator(transaction: CatalogQueries, row: UserRow): Promise<void> {
    if (row.administrator !== 1) return;
    let query = transaction
      .selectFrom("users")
      .select(["id", "password_hash"])
      .where("administrator", "=", 1)
      .orderBy("id");
    // Of two that take each other's rights away at once, the second has to see what the first did.
    if (this.#database.kind === "postgresql") query = query.forUpdate();
    const others = (await query.execute()).filter(({ id }) => id !== row.id);
    if (others.some(({ password_hash }) => password_hash !== null)) return;
    const ids = others.map(({ id }) => id);
    if (
      ids.length > 0 &&
      (await transaction.selectFrom("api_tokens").select("id").where("user_id", "in", ids).executeTakeFirst()) !==
        undefined
    ) {
      return;
    }
    throw new HoldfastError("INPUT_INVALID", `${row.email} is the only administrator who can sign in.`, {
      facts: { email: row.email },
      remedy: "Make somebody an administrator first who has a password or an API token.",
    });
  }
}

/** Within a transaction. @throws HoldfastError USER_EXISTS, INPUT_INVALID */
export async function insertUser(
  transaction: CatalogQueries,
  user: NewUser & { readonly passwordHash: string | null },
  nowMs: number,
  author: Actor,
): Promise<User> {
  const email = normalEmail(user.email);
  if (!/^[^\s@\p{C}]+@[^\s@\p{C}]+$/u.test(email) || email.length > 254) {
    throw new HoldfastError("INPUT_INVALID", `${JSON.stringify(user.email.slice(0, 300))} is no e-mail address.`);
  }
  if (user.displayName !== undefined) assertOneLine(user.displayName, "A user's name");
  if (user.administrator === true) assertMayAdminister(user.kind);
  const row: UserRow = {
    id: randomUUID(),
    kind: user.kind,
    email,
    display_name: user.displayName ?? email.replace(/@.*/, ""),
    password_hash: user.passwordHash,
    administrator: user.administrator === true ? 1 : 0,
    created_at: nowMs,
    updated_at: nowMs,
  };
  const { numInsertedOrUpdatedRows } = await transaction
    .insertInto("users")
    .values(row)
    .onConflict((conflict) => conflict.column("email").doNothing())
    .executeTakeFirstOrThrow();
  if (numInsertedOrUpdatedRows === 0n) {
    throw new HoldfastError("USER_EXISTS", `There is a user ${email} already.`, { facts: { email } });
  }
  await writeAuditEntry(transaction, nowMs, author, {
    action: "user.create",
    subject: row.id,
    facts: { email, kind: user.kind, administrator: user.administrator === true },
  });
  return userOf(row);
}

/** @throws HoldfastError USER_NOT_FOUND */
export async function userRow(queries: CatalogQueries, id: UserId): Promise<UserRow> {
  const row = await queries.selectFrom("users").selectAll().where("id", "=", id).executeTakeFirst();
  if (row !== undefined) return row;
  throw userNotFound(id);
}

export function userNotFound(id: string): HoldfastError {
  return new HoldfastError("USER_NOT_FOUND", `There is no user ${id}.`, { facts: { user: id } });
}

export function userOf(row: UserRow): User {
  return {
    id: row.id as UserId,
    kind: row.kind as UserKind,
    email: row.email,
    displayName: row.display_name,
    administrator: row.administrator === 1,
    hasPassword: row.password_hash !== null,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}

/** Addresses that differ in case only are one person's. */
export const normalEmail = (email: string): string => email.trim().toLowerCase();

export async function countAdministrators(queries: CatalogQueries): Promise<number> {
  const rows = await queries.selectFrom("users").select("id").where("administrator", "=", 1).limit(2).execute();
  return rows.length;
}

/** Names are shown on terminals and written into logs. @throws HoldfastError INPUT_INVALID */
export function assertOneLine(text: string, what: string): void {
  if (!/\p{Cc}/u.test(text)) return;
  throw new HoldfastError("INPUT_INVALID", `${what} has no control characters, such as line ends.`);
}

/** A token that lies in a file on some machine must not open everything. */
function assertMayAdminister(kind: string): void {
  if (kind !== "machine") return;
  throw new HoldfastError("INPUT_INVALID", "A machine user cannot administer the installation.", {
    remedy: "Make it an admin of the projects that it needs.",
  });
}
