import { type EnvironmentId, HoldfastError, type ProjectId } from "../../base/index.ts";
import type { EnvironmentStatus, EnvironmentType } from "../../engine/index.ts";
import type { Actor, JsonValue } from "../activities/activity.ts";
import { writeAuditEntry } from "../access/audit-trail.ts";
import type { CatalogDatabase } from "../catalog/catalog-database.ts";
import type { CatalogQueries, EnvironmentRow } from "../catalog/catalog-schema.ts";
import { type DeclarationChange, declarationChanges } from "./declaration-changes.ts";
import type { DeclaredEnvironment, DeclaredProject } from "./declaration.ts";

/** A project as the catalog knows it. */
export interface CatalogProject {
  readonly id: ProjectId;
  readonly title: string;
  /** False once it is in the configuration no longer. */
  readonly declared: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** An environment as the catalog knows it. */
export interface CatalogEnvironment {
  readonly id: EnvironmentId;
  readonly project: ProjectId;
  readonly title: string;
  readonly type: EnvironmentType;
  readonly parent: EnvironmentId | null;
  /** `dirty` while an activity changes it. */
  readonly status: EnvironmentStatus;
  /** False once it is in the configuration no longer. */
  readonly declared: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** The activities that change an environment while they run. A backup and its deletion leave it as it is. */
const changing = [
  "environment.restore",
  "environment.activate",
  "environment.deactivate",
  "environment.pause",
  "environment.resume",
];

/** Projects, their environments and their settings. */
export class ProjectStore {
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
  }

  /**
   * Takes over what the configuration declares: titles, types and parents always, a status only where there is none yet.
   * Idempotent.
   * @param options.complete `projects` are all that there are: others stay, with `declared` false. Otherwise others are left
   *   alone: a worker's configuration may have some of the environments only.
   */
  declare(projects: readonly DeclaredProject[], options: { readonly complete: boolean }): Promise<void> {
    return this.#database.change(async (queries) => {
      const now = await this.#database.nowMs(queries);
      if (options.complete) {
        await queries.updateTable("projects").set({ declared: 0 }).execute();
        await queries.updateTable("environments").set({ declared: 0 }).execute();
      }
      for (const project of projects) {
        await declareProject(queries, project, now);
        for (const environment of project.environments) await declareEnvironment(queries, project.id, environment, now);
      }
    });
  }

  /** What `declare` would change, and what it would not although they differ. */
  async planDeclare(
    projects: readonly DeclaredProject[],
    options: { readonly complete: boolean },
  ): Promise<readonly DeclarationChange[]> {
    const known = await this.projects();
    const ids = new Set([...projects, ...known].map(({ id }) => id));
    const environments = await Promise.all([...ids].map((id) => this.environments(id)));
    return declarationChanges(projects, known, environments.flat(), options);
  }

  /** Those of the configuration, by id. */
  projects(): Promise<readonly CatalogProject[]> {
    return this.#database.use(async (queries) => {
      const rows = await queries.selectFrom("projects").selectAll().where("declared", "=", 1).orderBy("id").execute();
      return rows.map((row) => ({
        id: row.id as ProjectId,
        title: row.title,
        declared: row.declared === 1,
        createdAt: new Date(row.created_at),
        updatedAt: new Date(row.updated_at),
      }));
    });
  }

  /** By id; also those that the configuration has no longer, whose backups are still there. */
  environments(project: ProjectId): Promise<readonly CatalogEnvironment[]> {
    return this.#database.use(async (queries) => {
      const rows = await queries
        .selectFrom("environments")
        .selectAll()
        .where("project", "=", project)
        .orderBy("id")
        .execute();
      const dirty = await dirtyEnvironments(queries, project);
      return rows.map((row) => environmentOf(row, dirty));
    });
  }

  environment(project: ProjectId, id: EnvironmentId): Promise<CatalogEnvironment | undefined> {
    return this.#database.use(async (queries) => {
      const row = await queries
        .selectFrom("environments")
        .selectAll()
        .where("project", "=", project)
        .where("id", "=", id)
        .executeTakeFirst();
      return row === undefined ? undefined : environmentOf(row, await dirtyEnvironments(queries, project));
    });
  }

  /**
   * Takes an environment out of the catalog that is in the configuration no longer and has nothing left.
   * @throws HoldfastError ENVIRONMENT_NOT_FOUND, ENVIRONMENT_IN_USE
   */
  removeEnvironment(project: ProjectId, id: EnvironmentId, author: Actor): Promise<void> {
    return this.#database.change(async (queries) => {
      const row = await queries
        .deleteFrom("environments")
        .where("project", "=", project)
        .where("id", "=", id)
        .returning("declared")
        .executeTakeFirst();
      if (row === undefined) {
        throw new HoldfastError("ENVIRONMENT_NOT_FOUND", `The project ${project} has no environment "${id}".`, {
          facts: { project, environment: id },
        });
      }
      const inUse = row.declared === 1 ? "is in the server's configuration" : await whatIsLeft(queries, project, id);
      if (inUse !== undefined) {
        throw new HoldfastError("ENVIRONMENT_IN_USE", `The environment ${id} ${inUse}, so it is not deleted.`, {
          facts: { project, environment: id },
          remedy:
            "Delete its backups, take it out of the configuration file and start the server again, in this order.",
        });
      }
      await writeAuditEntry(queries, await this.#database.nowMs(queries), author, {
        action: "environment.delete",
        project,
        environment: id,
      });
    });
  }

  /** What was set for the project by key; what was not is for the configuration and the profile to say. */
  settings(project: ProjectId): Promise<ReadonlyMap<string, JsonValue>> {
    return this.#database.use(async (queries) => {
      const rows = await queries
        .selectFrom("settings")
        .select(["key", "value"])
        .where("project", "=", project)
        .orderBy("key")
        .execute();
      return new Map(rows.map(({ key, value }) => [key, JSON.parse(value) as JsonValue]));
    });
  }

  /**
   * Reads the settings, has `change` say which keys get which values (undefined: what the configuration and the profile say
   * again), and writes them; nobody else changes them in between. Returns what is set then.
   */
  changeSettings(
    project: ProjectId,
    change: (settings: ReadonlyMap<string, JsonValue>) => ReadonlyMap<string, JsonValue | undefined>,
    author: Actor,
  ): Promise<ReadonlyMap<string, JsonValue>> {
    return this.#database.change(async (queries) => {
      const now = await this.#database.nowMs(queries);
      // The project's row, which PostgreSQL locks by this, keeps others out.
      await queries.updateTable("projects").set({ updated_at: now }).where("id", "=", project).execute();
      const rows = await queries.selectFrom("settings").selectAll().where("project", "=", project).execute();
      const settings = new Map(rows.map(({ key, value }) => [key, JSON.parse(value) as JsonValue]));
      for (const [key, value] of change(new Map(settings))) {
        await writeAuditEntry(queries, now, author, {
          action: "settings.update",
          project,
          subject: key,
          facts: { value: value === undefined ? null : JSON.stringify(value) },
        });
        if (value === undefined) {
          settings.delete(key);
          await queries.deleteFrom("settings").where("project", "=", project).where("key", "=", key).execute();
        } else {
          settings.set(key, value);
          await setSetting(queries, project, key, value, now);
        }
      }
      return settings;
    });
  }
}

async function whatIsLeft(queries: CatalogQueries, project: ProjectId, id: EnvironmentId): Promise<string | undefined> {
  const inEnvironment = (table: "backups" | "activities") =>
    queries.selectFrom(table).select("id").where("project", "=", project).where("environment", "=", id).limit(1);
  if ((await inEnvironment("backups").executeTakeFirst()) !== undefined) return "has backups";
  const open = await inEnvironment("activities").where("ended_at", "is", null).executeTakeFirst();
  return open === undefined ? undefined : "has activities that have not ended";
}

async function declareProject(queries: CatalogQueries, project: DeclaredProject, now: number): Promise<void> {
  const row = { id: project.id, title: project.title, declared: 1, created_at: now, updated_at: now };
  await queries
    .insertInto("projects")
    .values(row)
    .onConflict((conflict) => conflict.column("id").doUpdateSet({ title: project.title, declared: 1 }))
    .execute();
}

async function declareEnvironment(
  queries: CatalogQueries,
  project: ProjectId,
  { id, title, type, parent, initialStatus }: DeclaredEnvironment,
  now: number,
): Promise<void> {
  const declared = { title, type, parent: parent ?? null, declared: 1 };
  await queries
    .insertInto("environments")
    .values({ project, id, status: initialStatus, created_at: now, updated_at: now, ...declared })
    .onConflict((conflict) => conflict.columns(["project", "id"]).doUpdateSet(declared))
    .execute();
}

async function setSetting(
  queries: CatalogQueries,
  project: ProjectId,
  key: string,
  value: JsonValue,
  now: number,
): Promise<void> {
  const changed = { value: JSON.stringify(value), updated_at: now };
  await queries
    .insertInto("settings")
    .values({ project, key, ...changed })
    .onConflict((conflict) => conflict.columns(["project", "key"]).doUpdateSet(changed))
    .execute();
}

async function dirtyEnvironments(queries: CatalogQueries, project: ProjectId): Promise<ReadonlySet<string>> {
  const rows = await queries
    .selectFrom("activities")
    .select("environment")
    .where("project", "=", project)
    .where("ended_at", "is", null)
    .where("state", "=", "in_progress")
    .where("type", "in", changing)
    .execute();
  return new Set(rows.map(({ environment }) => environment));
}

function environmentOf(row: EnvironmentRow, dirty: ReadonlySet<string>): CatalogEnvironment {
  return {
    id: row.id as EnvironmentId,
    project: row.project as ProjectId,
    title: row.title,
    type: row.type as EnvironmentType,
    parent: row.parent as EnvironmentId | null,
    status: dirty.has(row.id) ? "dirty" : (row.status as EnvironmentStatus),
    declared: row.declared === 1,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}
