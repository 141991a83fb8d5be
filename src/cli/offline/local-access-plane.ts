import type { ProjectId } from "../../base/index.ts";
import type { Config } from "../../config/index.ts";
import type { Access, Actor, OpenCatalog, ProjectPermission, UserId } from "../../control/index.ts";
import type { AccessPlane, ListedToken, ListedUser } from "../access-plane.ts";
import { commandLineActor, type Invocation } from "./session.ts";

/** The catalog's users, with all rights: the way in when nobody can sign in any more. */
export class LocalAccessPlane implements AccessPlane {
  readonly #config: Config;
  readonly #catalog: OpenCatalog;
  readonly #actor: Actor;

  private constructor(config: Config, catalog: OpenCatalog, actor: Actor) {
    this.#config = config;
    this.#catalog = catalog;
    this.#actor = actor;
  }

  /** @throws HoldfastError STATE_UNUSABLE */
  static async open(invocation: Invocation, config: Config): Promise<LocalAccessPlane> {
    await invocation.composition.createState(config);
    const catalog = await invocation.composition.openCatalog(config);
    return new LocalAccessPlane(config, catalog, commandLineActor(invocation));
  }

  async projects(): Promise<readonly { readonly id: ProjectId }[]> {
    return this.#config.projects;
  }

  users(): Promise<readonly ListedUser[]> {
    return this.#access.users.list();
  }

  userByEmail(email: string): Promise<ListedUser | undefined> {
    return this.#access.users.findByEmail(email);
  }

  permissionsOf(user: ListedUser): ReturnType<AccessPlane["permissionsOf"]> {
    return this.#access.projectAccess.listOfUser(user.id as UserId);
  }

  async createUser(wanted: Parameters<AccessPlane["createUser"]>[0]): ReturnType<AccessPlane["createUser"]> {
    const { email, machine, administrator } = wanted;
    const kind = machine ? "machine" : "person";
    const user = await this.#access.users.create({ kind, email, administrator }, this.#actor);
    return { user, signInLink: machine ? undefined : await this.signInLink(user) };
  }

  async makeAdministrator(user: ListedUser): Promise<void> {
    await this.#access.users.update(user.id as UserId, { administrator: true }, this.#actor);
  }

  async signInLink(user: ListedUser): Promise<string> {
    const secret = await this.#access.signInLinks.createFor(user.id as UserId, this.#actor);
    return `${originOf(this.#config)}/setup#${secret}`;
  }

  async setPermissions(project: ProjectId, user: ListedUser, wanted: readonly string[]): Promise<readonly string[]> {
    const roles = wanted as readonly ProjectPermission[];
    return (await this.#access.projectAccess.set(project, user.id as UserId, roles, this.#actor)).permissions;
  }

  async deleteUser(user: ListedUser): Promise<void> {
    await this.#access.users.delete(user.id as UserId, this.#actor);
  }

  tokens(user: ListedUser): Promise<readonly ListedToken[]> {
    return this.#access.apiTokens.list(user.id as UserId);
  }

  createToken(user: ListedUser, name: string): Promise<{ readonly id: string; readonly secret: string }> {
    return this.#access.apiTokens.create(user.id as UserId, name, this.#actor);
  }

  async deleteToken(user: ListedUser, id: string): Promise<void> {
    await this.#access.apiTokens.delete(user.id as UserId, id, this.#actor);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#catalog.close();
  }

  get #access(): Access {
    return this.#catalog.access;
  }
}

/** What links begin with: what people reach the server by, as far as the configuration says. */
function originOf({ server }: Config): string {
  const { host, port } = server.listen;
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return (server.publicUrl ?? `${server.tls === undefined ? "http" : "https"}://${shownHost}:${port}`).replace(
    /\/+$/,
    "",
  );
}
