import { HoldfastError } from "../../base/index.ts";
import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import type { CatalogQueries } from "../catalog/catalog-schema.ts";
import type { Actor } from "../activities/activity.ts";
import { writeAuditEntry } from "./audit-trail.ts";
import { hashPassword } from "./password-hash.ts";
import { hashSecret, newSecret } from "./secret.ts";
import { countAdministrators, insertUser, type User, type UserId, userOf, userRow } from "./users.ts";

const linkHours = { firstAdministrator: 24, user: 72 } as const;

/** What a link is good for. */
export interface SignInLink {
  /** Undefined: whoever uses it becomes the first administrator, and says who they are. */
  readonly user: User | undefined;
  readonly expiresAt: Date;
}

/** Links that let their bearer set a password, once: nobody else ever knows it, and no mail has to be sent. */
export class SignInLinks {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /**
   * The secret of a link for the first administrator; undefined if there is an administrator. Earlier such links end.
   */
  createForFirstAdministrator(): Promise<string | undefined> {
    return this.#database.change(async (transaction) => {
      if ((await countAdministrators(transaction)) > 0) return undefined;
      await transaction.deleteFrom("sign_in_links").where("user_id", "is", null).execute();
      return this.#insert(transaction, null, linkHours.firstAdministrator);
    });
  }

  /** The secret of a link with which a person sets a new password. @throws HoldfastError USER_NOT_FOUND, INPUT_INVALID */
  createFor(user: UserId, author: Actor): Promise<string> {
    return this.#database.change(async (transaction) => {
      const { email, kind } = await userRow(transaction, user);
      if (kind !== "person") {
        throw new HoldfastError("INPUT_INVALID", `${email} is a machine user, which has no password.`, {
          remedy: "Give it an API token.",
        });
      }
      await transaction.deleteFrom("sign_in_links").where("user_id", "=", user).execute();
      const secret = await this.#insert(transaction, user, linkHours.user);
      const change = { action: "sign-in-link.create", subject: user, facts: { email } };
      await writeAuditEntry(transaction, this.#database.clock.now().getTime(), author, change);
      return secret;
    });
  }

  /** Undefined if the link is not, or no longer, good for anything. */
  find(secret: string): Promise<SignInLink | undefined> {
    return this.#database.use((queries) => this.#find(queries, secret));
  }

  /**
   * Sets the password of the link's user, or makes the first administrator. All their earlier sign-ins end.
   * @param email of the first administrator
   * @throws HoldfastError SIGN_IN_FAILED, INPUT_INVALID, USER_EXISTS
   */
  async use(
    secret: string,
    given: { readonly password: string; readonly email?: string; readonly displayName?: string },
    author: Actor,
  ): Promise<User> {
    if ((await this.find(secret)) === undefined) throw linkGone();
    const passwordHash = await hashPassword(given.password);
    return this.#database.change(async (transaction) => {
      const link = await this.#find(transaction, secret);
      const { numDeletedRows } = await transaction
        .deleteFrom("sign_in_links")
        .where("hash", "=", hashSecret(secret))
        .executeTakeFirstOrThrow();
      if (link === undefined || numDeletedRows === 0n) throw linkGone();
      const nowMs = this.#database.clock.now().getTime();
      if (link.user === undefined) {
        if ((await countAdministrators(transaction)) > 0) throw linkGone();
        return insertUser(
          transaction,
          {
            kind: "person",
            email: given.email ?? "",
            ...(given.displayName === undefined ? {} : { displayName: given.displayName }),
            administrator: true,
            passwordHash,
          },
          nowMs,
          author,
        );
      }
      const { id, email } = link.user;
      const change = { password_hash: passwordHash, updated_at: nowMs };
      await transaction.updateTable("users").set(change).where("id", "=", id).execute();
      await transaction.deleteFrom("sessions").where("user_id", "=", id).where("api_token_id", "is", null).execute();
      await writeAuditEntry(transaction, nowMs, author, { action: "password.set", subject: id, facts: { email } });
      return userOf(await userRow(transaction, id));
    });
  }

  async #insert(transaction: CatalogQueries, user: UserId | null, hours: number): Promise<string> {
    const { secret, hash } = newSecret("hfl");
    const row = { hash, user_id: user, expires_at: this.#database.clock.now().getTime() + hours * 3_600_000 };
    await transaction.insertInto("sign_in_links").values(row).execute();
    return secret;
  }

  async #find(queries: CatalogQueries, secret: string): Promise<SignInLink | undefined> {
    const row = await queries
      .selectFrom("sign_in_links")
      .selectAll()
      .where("hash", "=", hashSecret(secret))
      .where("expires_at", ">", this.#database.clock.now().getTime())
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const user = row.user_id === null ? undefined : userOf(await userRow(queries, row.user_id as UserId));
    return { user, expiresAt: new Date(row.expires_at) };
  }
}

function linkGone(): HoldfastError {
  return new HoldfastError("SIGN_IN_FAILED", "The link has been used, has expired, or never was one.", {
    remedy: "For the first administrator, start the server again; else ask an administrator for a new one.",
  });
}
