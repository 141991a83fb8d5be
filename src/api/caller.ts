import { type EnvironmentId, HoldfastError, type ProjectId } from "../base/index.ts";
import {
  type Access,
  type Actor,
  type CatalogEnvironment,
  type CatalogProject,
  type EnvironmentAction,
  environmentActions,
  mayDoInEnvironment,
  mayDoInProject,
  type OpenCatalog,
  type OpenSession,
  type ProjectAction,
  type ProjectRights,
  type User,
  type UserId,
} from "../control/index.ts";

/** A project as a caller sees it. */
export class ProjectView {
  readonly project: CatalogProject;
  readonly rights: ProjectRights;

  constructor(project: CatalogProject, rights: ProjectRights) {
    this.project = project;
    this.rights = rights;
  }

  get id(): ProjectId {
    return this.project.id;
  }

  may(action: ProjectAction): boolean {
    return mayDoInProject(this.rights, action);
  }

  mayIn(environment: Pick<CatalogEnvironment, "type">, action: EnvironmentAction): boolean {
    return mayDoInEnvironment(this.rights, environment.type, action);
  }

  /** @throws HoldfastError ACCESS_DENIED */
  assertMay(action: ProjectAction): void {
    if (!this.may(action)) throw denied(`in the project ${this.id}`, "an admin of the project");
  }

  /** @throws HoldfastError ACCESS_DENIED */
  assertMayIn(environment: Pick<CatalogEnvironment, "id" | "type">, action: EnvironmentAction): void {
    if (this.mayIn(environment, action)) return;
    const role = environmentActions[action];
    const who = `${role === "admin" ? "an" : "a"} ${role} of ${environment.type} environments`;
    throw denied(`to the environment ${environment.id}`, who);
  }
}

/** Somebody who is signed in, in one request. */
export class Caller {
  readonly user: User;
  readonly author: Actor;
  readonly #session: OpenSession | undefined;
  readonly #catalog: OpenCatalog;
  readonly #from: { readonly address: string | null; readonly requestId: string };

  /** @param signedIn without a session: whoever reaches the control socket, which is as good as it is there */
  constructor(
    { user, session }: { readonly user: User; readonly session: OpenSession | undefined },
    catalog: OpenCatalog,
    from: { readonly address: string | null; readonly requestId: string },
  ) {
    this.user = user;
    this.#session = session;
    this.#catalog = catalog;
    this.#from = from;
    this.author = { id: user.id, name: user.email, ...from };
  }

  /** Signed in with an API token, not with a password. */
  get hasApiToken(): boolean {
    return this.#session !== undefined && this.#session.apiToken !== null;
  }

  /** The same caller as they are now; undefined if what they signed in with has ended. */
  async now(): Promise<Caller | undefined> {
    if (this.#session === undefined) return this;
    const user = await this.access.sessions.userOfOpen(this.#session);
    return user === undefined ? undefined : new Caller({ user, session: this.#session }, this.#catalog, this.#from);
  }

  get access(): Access {
    return this.#catalog.access;
  }

  /** Projects that the caller may see, by id. */
  async projects(): Promise<readonly ProjectView[]> {
    const [projects, grants] = await Promise.all([
      this.#catalog.projects.projects(),
      this.access.projectAccess.listOfUser(this.user.id),
    ]);
    const permissions = new Map(grants.map((grant) => [grant.project, grant.permissions]));
    return projects
      .map((project) => this.#view(project, permissions.get(project.id) ?? []))
      .filter((view) => view.may("view"));
  }

  /** One that the caller may not see is none, so that nobody finds out which there are. @throws HoldfastError PROJECT_NOT_FOUND */
  async project(id: string): Promise<ProjectView> {
    const project = (await this.#catalog.projects.projects()).find((one) => one.id === id);
    if (project !== undefined) {
      const { permissions } = await this.access.projectAccess.rightsOf(this.user, project.id);
      const view = this.#view(project, permissions);
      if (view.may("view")) return view;
    }
    throw new HoldfastError("PROJECT_NOT_FOUND", `There is no project ${JSON.stringify(id)} that you may see.`);
  }

  /** @throws HoldfastError PROJECT_NOT_FOUND, ENVIRONMENT_NOT_FOUND, ACCESS_DENIED */
  async environment(
    project: string,
    id: string,
    action: EnvironmentAction = "view",
  ): Promise<{ readonly view: ProjectView; readonly environment: CatalogEnvironment }> {
    const view = await this.project(project);
    const environment = await this.#catalog.projects.environment(view.id, id as EnvironmentId);
    if (environment === undefined) {
      throw new HoldfastError(
        "ENVIRONMENT_NOT_FOUND",
        `The project ${view.id} has no environment ${JSON.stringify(id)}.`,
      );
    }
    view.assertMayIn(environment, action);
    return { view, environment };
  }

  /** @throws HoldfastError ACCESS_DENIED */
  assertAdministrator(): void {
    if (!this.user.administrator) throw denied("here", "an administrator");
  }

  /** The user that a path names, "me" being the caller. @throws HoldfastError ACCESS_DENIED, USER_NOT_FOUND */
  async userNamed(name: string): Promise<User> {
    if (name === "me" || name === this.user.id) return this.user;
    this.assertAdministrator();
    const user = await this.access.users.get(name as UserId);
    if (user !== undefined) return user;
    throw new HoldfastError("USER_NOT_FOUND", `There is no user ${JSON.stringify(name)}.`);
  }

  #view(project: CatalogProject, permissions: ProjectRights["permissions"]): ProjectView {
    return new ProjectView(project, { administrator: this.user.administrator, permissions });
  }
}

function denied(where: string, who: string): HoldfastError {
  return new HoldfastError("ACCESS_DENIED", `You may not do this ${where}.`, { remedy: `It needs ${who}.` });
}
