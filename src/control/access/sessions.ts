import { HoldfastError } from "../../base/index.ts";
import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import type { CatalogQueries } from "../catalog/catalog-schema.ts";
import { verifyPassword } from "./password-hash.ts";
import { hashSecret, newSecret } from "./secret.ts";
import { normalEmail, type User, type UserId, userOf } from "./users.ts";

/** What signing in gives. */
export interface Session {
  readonly accessToken: string;
  /** For a person; a machine signs in again with its API token. */
  readonly refreshToken: string | undefined;
  readonly expiresInSeconds: number;
  readonly user: User;
}

/** A valid access token, as a request presents it. */
export interface SignedIn {
  readonly user: User;
  readonly session: OpenSession;
}

/** Where an access token comes from, so that one can see later whether that still holds. */
export interface OpenSession {
  readonly hash: string;
  readonly userId: UserId;
  /** The API token that it was exchanged for; null after a sign-in with a password. */
  readonly apiToken: string | null;
  readonly signIn: string;
  readonly expiresAt: Date;
}

/** As Upsun's. */
const accessTokenSeconds = 900;
const refreshTokenSeconds = 14 * 86_400;

/**
 * Access tokens: opaque, kept as hashes, so that they end at once with the API token, the user or the sign-in that they came
 * from, on every API server.
 */
export class Sessions {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /** @throws HoldfastError SIGN_IN_FAILED */
  async signInWithApiToken(token: string): Promise<Session> {
    const hash = hashSecret(token);
    const known = await this.#database.use((queries) =>
      queries.selectFrom("api_tokens").select("id").where("hash", "=", hash).executeTakeFirst(),
    );
    // Without a transaction: whoever guesses must not keep others from writing.
    if (known === undefined) throw apiTokenUnknown();
    return this.#database.change(async (transaction) => {
      const nowMs = this.#database.clock.now().getTime();
      const row = await transaction
        .updateTable("api_tokens")
        .set({ last_used_at: nowMs })
        .where("hash", "=", hash)
        .returning(["id", "user_id"])
        .executeTakeFirst();
      const user = row === undefined ? undefined : await findUser(transaction, row.user_id);
      if (row === undefined || user === undefined) throw apiTokenUnknown();
      return issue(transaction, { user, apiToken: row.id, signIn: undefined, nowMs });
    });
  }

  /** @throws HoldfastError SIGN_IN_FAILED, after the same time whether or not there is such a user */
  async signInWithPassword(email: string, password: string): Promise<Session> {
    const row = await this.#database.use((queries) =>
      queries.selectFrom("users").selectAll().where("email", "=", normalEmail(email)).executeTakeFirst(),
    );
    if (!(await verifyPassword(password, row?.password_hash ?? null)) || row === undefined) {
      throw new HoldfastError("SIGN_IN_FAILED", "The e-mail address or the password is wrong.");
    }
    return this.#database.change(async (transaction) => {
      // Meanwhile the user may have been deleted, or the password changed.
      const now = await transaction.selectFrom("users").selectAll().where("id", "=", row.id).executeTakeFirst();
      if (now?.password_hash !== row.password_hash) {
        throw new HoldfastError("SIGN_IN_FAILED", "The e-mail address or the password is wrong.");
      }
      return issue(transaction, {
        user: userOf(now),
        apiToken: null,
        signIn: newSecret("hfr").hash,
        nowMs: this.#database.clock.now().getTime(),
      });
    });
  }

  /**
   * A refresh token serves once. If it comes a second time, somebody else has it: everything from that sign-in ends.
   * @throws HoldfastError SIGN_IN_FAILED
   */
  async refresh(refreshToken: string): Promise<Session> {
    const session = await this.#database.change(async (transaction) => {
      const nowMs = this.#database.clock.now().getTime();
      const hash = hashSecret(refreshToken);
      const row = await transaction
        .selectFrom("sessions")
        .selectAll()
        .where("hash", "=", hash)
        .where("kind", "=", "refresh")
        .where("expires_at", ">", nowMs)
        .executeTakeFirst();
      if (row === undefined) return undefined;
      const { numUpdatedRows } = await transaction
        .updateTable("sessions")
        .set({ used_at: nowMs })
        .where("hash", "=", hash)
        .where("used_at", "is", null)
        .executeTakeFirstOrThrow();
      const user = await findUser(transaction, row.user_id);
      if (numUpdatedRows === 0n || user === undefined) {
        await transaction.deleteFrom("sessions").where("sign_in", "=", row.sign_in).execute();
        return undefined;
      }
      return issue(transaction, { user, apiToken: null, signIn: row.sign_in, nowMs });
    });
    if (session !== undefined) return session;
    throw new HoldfastError("SIGN_IN_FAILED", "The refresh token is no longer valid.", { remedy: "Sign in again." });
  }

  /** Whose access token it is; undefined if it is not valid (any more). */
  authenticate(accessToken: string): Promise<SignedIn | undefined> {
    return this.#database.use(async (queries) => {
      const hash = hashSecret(accessToken);
      const row = await queries
        .selectFrom("sessions")
        .innerJoin("users", "users.id", "sessions.user_id")
        .selectAll("users")
        .select(["sessions.api_token_id", "sessions.sign_in", "sessions.expires_at"])
        .where("sessions.hash", "=", hash)
        .where("sessions.kind", "=", "access")
        .where("sessions.expires_at", ">", this.#database.clock.now().getTime())
        .executeTakeFirst();
      if (row === undefined) return undefined;
      const user = userOf(row);
      return {
        user,
        session: {
          hash,
          userId: user.id,
          apiToken: row.api_token_id,
          signIn: row.sign_in,
          expiresAt: new Date(row.expires_at),
        },
      };
    });
  }

  /**
   * For an answer that takes long: the session's user as they are now, undefined if what they signed in with has ended (signed
   * out, API token or user deleted, password set anew). That the access token has expired meanwhile does not matter.
   */
  userOfOpen({ hash, userId, apiToken, signIn, expiresAt }: OpenSession): Promise<User | undefined> {
    return this.#database.use(async (queries) => {
      const nowMs = this.#database.clock.now().getTime();
      const origin =
        expiresAt.getTime() > nowMs
          ? await queries.selectFrom("sessions").select("hash").where("hash", "=", hash).executeTakeFirst()
          : apiToken !== null
            ? await queries.selectFrom("api_tokens").select("id").where("id", "=", apiToken).executeTakeFirst()
            : await queries
                .selectFrom("sessions")
                .select("hash")
                .where("sign_in", "=", signIn)
                .where("expires_at", ">", nowMs)
                .executeTakeFirst();
      return origin === undefined ? undefined : findUser(queries, userId);
    });
  }

  /** Ends the sign-in that the token came from. Idempotent. */
  signOut(token: string): Promise<void> {
    return this.#database.change(async (transaction) => {
      const row = await transaction
        .selectFrom("sessions")
        .select("sign_in")
        .where("hash", "=", hashSecret(token))
        .executeTakeFirst();
      if (row !== undefined) await transaction.deleteFrom("sessions").where("sign_in", "=", row.sign_in).execute();
    });
  }
}

function apiTokenUnknown(): HoldfastError {
  return new HoldfastError("SIGN_IN_FAILED", "The API token is not known here. It may have been deleted.", {
    remedy: "Make a new one with holdfast token:create, or on the server that this one is for.",
  });
}

async function findUser(queries: CatalogQueries, id: string): Promise<User | undefined> {
  const row = await queries.selectFrom("users").selectAll().where("id", "=", id).executeTakeFirst();
  return row === undefined ? undefined : userOf(row);
}

interface Issue {
  readonly user: User;
  readonly apiToken: string | null;
  /** Undefined: an access token only. */
  readonly signIn: string | undefined;
  readonly nowMs: number;
}

async function issue(transaction: CatalogQueries, { user, apiToken, signIn, nowMs }: Issue): Promise<Session> {
  await transaction.deleteFrom("sessions").where("expires_at", "<=", nowMs).execute();
  const access = newSecret("hfa");
  const refresh = signIn === undefined ? undefined : newSecret("hfr");
  const row = { user_id: user.id, api_token_id: apiToken, sign_in: signIn ?? access.hash, used_at: null };
  await transaction
    .insertInto("sessions")
    .values([
      { ...row, hash: access.hash, kind: "access", expires_at: nowMs + accessTokenSeconds * 1000 },
      ...(refresh === undefined
        ? []
        : [{ ...row, hash: refresh.hash, kind: "refresh", expires_at: nowMs + refreshTokenSeconds * 1000 }]),
    ])
    .execute();
  return { accessToken: access.secret, refreshToken: refresh?.secret, expiresInSeconds: accessTokenSeconds, user };
}
