import { HoldfastError, type ProjectId } from "../../base/index.ts";
import type { ApiClient, Received } from "../../client/index.ts";
import type { Body, Operations } from "../../contract/index.ts";
import type { AccessPlane, ListedToken, ListedUser } from "../access-plane.ts";
import { dateOf } from "./activity-answers.ts";

type Permissions = Body<Operations["updateUserAccess"]>["permissions"];

/** A server's users, as far as whoever asks may see and change them. */
export class RemoteAccessPlane implements AccessPlane {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  async projects(): Promise<readonly { readonly id: ProjectId }[]> {
    const found = await this.#client.call("listProjects", { parameters: {} });
    return found.map(({ id }) => ({ id: id as ProjectId }));
  }

  async users(): Promise<readonly ListedUser[]> {
    return (await this.#client.call("listUsers", { parameters: {} })).map(userOf);
  }

  async userByEmail(email: string): Promise<ListedUser | undefined> {
    const wanted = email.trim().toLowerCase();
    const me = userOf(await this.#client.call("getUser", { parameters: { user: "me" } }));
    // Others are for administrators.
    return me.email === wanted ? me : (await this.users()).find((user) => user.email === wanted);
  }

  async permissionsOf({ id: user }: ListedUser): ReturnType<AccessPlane["permissionsOf"]> {
    const { items } = await this.#client.call("listProjectAccess", { parameters: { user } });
    return items.map(({ project_id: project, permissions }) => ({ project, permissions }));
  }

  async createUser(wanted: Parameters<AccessPlane["createUser"]>[0]): ReturnType<AccessPlane["createUser"]> {
    const created = await this.#client.call("createUser", { parameters: {}, body: { ...wanted } });
    return { user: userOf(created), signInLink: created.sign_in_link };
  }

  async makeAdministrator({ id: user }: ListedUser): Promise<void> {
    await this.#client.call("updateUser", { parameters: { user }, body: { administrator: true } });
  }

  async signInLink({ id: user }: ListedUser): Promise<string> {
    return (await this.#client.call("createSignInLink", { parameters: { user } })).sign_in_link;
  }

  async setPermissions(project: ProjectId, { id }: ListedUser, wanted: readonly string[]): Promise<readonly string[]> {
    const { items } = await this.#client.call("grantUserAccess", {
      parameters: { project },
      body: [{ user_id: id, permissions: [...wanted] as Permissions }],
    });
    const [granted] = items;
    if (granted === undefined)
      throw new HoldfastError("SERVER_ANSWER_INVALID", "The server says nothing of what it gave.");
    return granted.permissions;
  }

  async deleteUser({ id: user }: ListedUser): Promise<void> {
    await this.#client.call("deleteUser", { parameters: { user } });
  }

  async tokens({ id: user }: ListedUser): Promise<readonly ListedToken[]> {
    const found = await this.#client.call("listApiTokens", { parameters: { user } });
    return found.map(({ id, name, created_at: created, last_used_at: lastUsed }) => ({
      id,
      name,
      createdAt: new Date(created),
      lastUsedAt: dateOf(lastUsed),
    }));
  }

  async createToken({ id: user }: ListedUser, name: string): Promise<{ readonly id: string; readonly secret: string }> {
    const { id, token } = await this.#client.call("createApiToken", { parameters: { user }, body: { name } });
    return { id, secret: token };
  }

  async deleteToken({ id: user }: ListedUser, token: string): Promise<void> {
    await this.#client.call("deleteApiToken", { parameters: { user, token } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Every request has a connection of its own.
  }
}

const userOf = (answer: Received<Operations["getUser"]>): ListedUser => ({
  id: answer.id,
  email: answer.email,
  displayName: answer.display_name,
  kind: answer.machine ? "machine" : "person",
  administrator: answer.administrator,
  hasPassword: answer.has_password,
  createdAt: new Date(answer.created_at),
});
