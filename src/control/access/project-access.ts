import { HoldfastError, type ProjectId } from "../../base/index.ts";
import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import type { ProjectAccessRow } from "./access-schema.ts";
import type { Actor } from "../activities/activity.ts";
import { writeAuditEntry } from "./audit-trail.ts";
import { type ProjectPermission, projectPermissions, type ProjectRights } from "./permissions.ts";
import { type User, type UserId, userNotFound, userOf, userRow } from "./users.ts";

/** What one user may do in one project. */
export interface ProjectGrant {
  readonly project: ProjectId;
  readonly user: UserId;
  readonly permissions: readonly ProjectPermission[];
  readonly grantedAt: Date;
  readonly updatedAt: Date;
}

/** Who may do what in which project (spec A1). */
export class ProjectAccess {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  async rightsOf(user: User, project: ProjectId): Promise<ProjectRights> {
    const grant = await this.get(project, user.id);
    return { administrator: user.administrator, permissions: grant?.permissions ?? [] };
  }

  get(project: ProjectId, user: UserId): Promise<ProjectGrant | undefined> {
    return this.#database.use(async (queries) => {
      const row = await queries
        .selectFrom("project_access")
        .selectAll()
        .where("project", "=", project)
        .where("user_id", "=", user)
        .executeTakeFirst();
      return row === undefined ? undefined : grantOf(row);
    });
  }

  /** By the users' e-mail addresses. */
  listOfProject(project: ProjectId): Promise<readonly (ProjectGrant & { readonly who: User })[]> {
    return this.#database.use(async (queries) => {
      const grants = await queries.selectFrom("project_access").selectAll().where("project", "=", project).execute();
      if (grants.length === 0) return [];
      const users = await queries
        .selectFrom("users")
        .selectAll()
        .where(
          "id",
          "in",
          grants.map(({ user_id }) => user_id),
        )
        .orderBy("email")
        .execute();
      const byUser = new Map(grants.map((row) => [row.user_id, row]));
      return users.flatMap((user) => {
        const row = byUser.get(user.id);
        return row === undefined ? [] : [{ ...grantOf(row), who: userOf(user) }];
      });
    });
  }

  /** By the projects' ids. */
  listOfUser(user: UserId): Promise<readonly ProjectGrant[]> {
    return this.#database.use(async (queries) =>
      (
        await queries.selectFrom("project_access").selectAll().where("user_id", "=", user).orderBy("project").execute()
      ).map(grantOf),
    );
  }

  /** Gives a user exactly these permissions. @throws HoldfastError USER_NOT_FOUND, INPUT_INVALID */
  set(
    project: ProjectId,
    user: UserId,
    permissions: readonly ProjectPermission[],
    author: Actor,
  ): Promise<ProjectGrant> {
    const wanted = projectPermissions.filter((permission) => permissions.includes(permission));
    if (wanted.length === 0) {
      throw new HoldfastError("INPUT_INVALID", "A user of a project has at least one permission.", {
        remedy: `Permissions: ${projectPermissions.join(", ")}. To take all away, delete the user's access.`,
      });
    }
    return this.#database.change(async (transaction) => {
      const nowMs = this.#database.clock.now().getTime();
      const { email } = await userRow(transaction, user);
      const row: ProjectAccessRow = {
        project,
        user_id: user,
        permissions: JSON.stringify(wanted),
        granted_at: nowMs,
        updated_at: nowMs,
      };
      const stored = await transaction
        .insertInto("project_access")
        .values(row)
        .onConflict((conflict) =>
          conflict
            .columns(["project", "user_id"])
            .doUpdateSet({ permissions: row.permissions, updated_at: row.updated_at }),
        )
        .returningAll()
        .executeTakeFirstOrThrow();
      await writeAuditEntry(transaction, nowMs, author, {
        action: "project-access.set",
        project,
        subject: user,
        facts: { email, permissions: wanted.join(" ") },
      });
      return grantOf(stored);
    });
  }

  /** @throws HoldfastError USER_NOT_FOUND */
  remove(project: ProjectId, user: UserId, author: Actor): Promise<void> {
    return this.#database.change(async (transaction) => {
      const { numDeletedRows } = await transaction
        .deleteFrom("project_access")
        .where("project", "=", project)
        .where("user_id", "=", user)
        .executeTakeFirstOrThrow();
      if (numDeletedRows === 0n) throw userNotFound(user);
      const { email } = await userRow(transaction, user);
      await writeAuditEntry(transaction, this.#database.clock.now().getTime(), author, {
        action: "project-access.remove",
        project,
        subject: user,
        facts: { email },
      });
    });
  }
}

function grantOf(row: ProjectAccessRow): ProjectGrant {
  return {
    project: row.project as ProjectId,
    user: row.user_id as UserId,
    permissions: JSON.parse(row.permissions) as ProjectPermission[],
    grantedAt: new Date(row.granted_at),
    updatedAt: new Date(row.updated_at),
  };
}
