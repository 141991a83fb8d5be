import type { ProjectId } from "../base/index.ts";

/**
 * The installation's users, their permissions and API tokens, as commands work on them: in this process on the catalog, with
 * all rights, or as a server's client. Close it.
 */
export interface AccessPlane extends AsyncDisposable {
  /** Those that the caller may see. */
  projects(): Promise<readonly { readonly id: ProjectId }[]>;

  /** By e-mail address. @throws HoldfastError ACCESS_DENIED */
  users(): Promise<readonly ListedUser[]>;
  /** Undefined if there is none. @throws HoldfastError ACCESS_DENIED for others than oneself */
  userByEmail(email: string): Promise<ListedUser | undefined>;
  permissionsOf(
    user: ListedUser,
  ): Promise<readonly { readonly project: string; readonly permissions: readonly string[] }[]>;

  /** With the link by which a person sets a password. @throws HoldfastError USER_EXISTS, INPUT_INVALID, ACCESS_DENIED */
  createUser(user: {
    readonly email: string;
    readonly machine: boolean;
    readonly administrator: boolean;
  }): Promise<{ readonly user: ListedUser; readonly signInLink: string | undefined }>;
  makeAdministrator(user: ListedUser): Promise<void>;
  /** Another link for a person. */
  signInLink(user: ListedUser): Promise<string>;
  /** Exactly these; returns them. @throws HoldfastError ACCESS_DENIED, INPUT_INVALID */
  setPermissions(project: ProjectId, user: ListedUser, permissions: readonly string[]): Promise<readonly string[]>;
  deleteUser(user: ListedUser): Promise<void>;

  /** Newest first. */
  tokens(user: ListedUser): Promise<readonly ListedToken[]>;
  /** The secret is never shown again. */
  createToken(user: ListedUser, name: string): Promise<{ readonly id: string; readonly secret: string }>;
  /** @throws HoldfastError TOKEN_NOT_FOUND */
  deleteToken(user: ListedUser, id: string): Promise<void>;
}

export interface ListedUser {
  readonly id: string;
  readonly email: string;
  readonly displayName: string;
  readonly kind: "person" | "machine";
  readonly administrator: boolean;
  /** False until a person has used a sign-in link. */
  readonly hasPassword: boolean;
  readonly createdAt: Date;
}

export interface ListedToken {
  readonly id: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
}
