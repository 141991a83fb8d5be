// Rows of the tables of people, their tokens and rights, as `0003-access.ts` makes them. Times are milliseconds since 1970.

export interface AccessTables {
  readonly users: UserRow;
  readonly api_tokens: ApiTokenRow;
  readonly sessions: SessionRow;
  readonly sign_in_links: SignInLinkRow;
  readonly project_access: ProjectAccessRow;
}

export interface UserRow {
  readonly id: string;
  /** "person" or "machine". */
  readonly kind: string;
  /** Lower case; unique. */
  readonly email: string;
  readonly display_name: string;
  /** See `password-hash.ts`; null for who has none (yet). */
  readonly password_hash: string | null;
  /** 1 for an administrator of the whole installation. */
  readonly administrator: number;
  readonly created_at: number;
  readonly updated_at: number;
}

export interface ApiTokenRow {
  readonly id: string;
  readonly user_id: string;
  readonly name: string;
  /** See `secret.ts`; the token itself is nowhere. */
  readonly hash: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly last_used_at: number | null;
}

/** An access token or a refresh token. */
export interface SessionRow {
  readonly hash: string;
  /** "access" or "refresh". */
  readonly kind: string;
  readonly user_id: string;
  /** The API token that it was exchanged for; it goes with that one. */
  readonly api_token_id: string | null;
  /** What came out of one sign-in; goes together. */
  readonly sign_in: string;
  readonly expires_at: number;
  /** When a refresh token was exchanged; a second time tells of a thief. */
  readonly used_at: number | null;
}

/** A link that lets somebody set a password, once. */
export interface SignInLinkRow {
  readonly hash: string;
  /** Null: whoever has it becomes the first administrator. */
  readonly user_id: string | null;
  readonly expires_at: number;
}

export interface ProjectAccessRow {
  readonly project: string;
  readonly user_id: string;
  /** A JSON array, see `permissions.ts`. */
  readonly permissions: string;
  readonly granted_at: number;
  readonly updated_at: number;
}
