import type { CatalogEnvironment } from "../../control/index.ts";
import type { Operations, Result } from "../../contract/index.ts";
import type { ProjectView } from "../caller.ts";
import { hrefs, links } from "./links.ts";
import { timestamp, timestampOrNull } from "./times.ts";

type ProjectShape = Result<Operations["getProject"]>;
type EnvironmentShape = Result<Operations["getEnvironment"]>;

/** One installation is one organization; it has no page of its own. */
export const organizationId = "holdfast";

/** Upsun's CLI lists only the projects of its own vendor. */
const vendor = "upsun";

/** @param environments those that the caller may see */
export function representProject(view: ProjectView, environments: readonly CatalogEnvironment[]): ProjectShape {
  const { id, title, createdAt, updatedAt } = view.project;
  const self = hrefs.project(id);
  return {
    id,
    created_at: timestamp(createdAt),
    updated_at: timestamp(updatedAt),
    attributes: {},
    title,
    description: "",
    region: "local",
    default_branch: mainEnvironment(environments)?.id ?? null,
    status: { code: "provisioned", message: "ok" },
    timezone: "UTC",
    vendor,
    repository: { url: "" },
    subscription: { license_uri: "", plan: "" },
    _links: links({
      self,
      environments: `${self}/environments`,
      activities: `${self}/activities`,
      "environment-types": `${self}/environment-types`,
      settings: `${self}/settings`,
      capabilities: `${self}/capabilities`,
      access: view.may("viewAccess") && `${self}/user-access`,
      "#manage-access": view.may("editAccess") && `${self}/user-access`,
      "audit-trail": view.may("viewAuditTrail") && `${self}/audit-trail`,
    }),
  };
}

export function representProjectReference(view: ProjectView) {
  const { id, title, createdAt, updatedAt } = view.project;
  return {
    id,
    region: "local",
    title,
    status: "active",
    organization_id: organizationId,
    subscription_id: "",
    vendor,
    created_at: timestamp(createdAt),
    updated_at: timestamp(updatedAt),
  };
}

/** The environment that commands mean when none is named: the only production one, or the only one. */
export function mainEnvironment(environments: readonly CatalogEnvironment[]): CatalogEnvironment | undefined {
  const production = environments.filter(({ type }) => type === "production");
  const candidates = production.length > 0 ? production : environments;
  return candidates.length === 1 ? candidates[0] : undefined;
}

export interface EnvironmentFacts {
  readonly isMain: boolean;
  readonly hasCode: boolean;
  readonly headCommit: string | null;
  readonly lastBackupAt: Date | null;
  /** Undefined where manual backups are not allowed. */
  readonly mayBackUp: boolean;
}

export function representEnvironment(
  view: ProjectView,
  environment: CatalogEnvironment,
  facts: EnvironmentFacts,
): EnvironmentShape {
  const { id, project, title, type, parent, status, createdAt, updatedAt, declared } = environment;
  const self = hrefs.environment(project, id);
  const may = (action: Parameters<ProjectView["mayIn"]>[1]): boolean => declared && view.mayIn(environment, action);
  return {
    id,
    created_at: timestamp(createdAt),
    updated_at: timestamp(updatedAt),
    name: id,
    machine_name: id,
    title,
    // One that the configuration has no longer: its backups are there, and nothing can be done to it.
    attributes: declared ? {} : { declared: "false" },
    type,
    parent,
    project,
    status,
    is_main: facts.isMain,
    is_dirty: status === "dirty",
    has_code: facts.hasCode,
    has_remote: false,
    is_pr: false,
    head_commit: facts.headCommit,
    last_backup_at: timestampOrNull(facts.lastBackupAt),
    deployment_target: "local",
    _links: links({
      self,
      backups: `${self}/backups`,
      activities: `${self}/activities`,
      "#edit": may("edit") && self,
      "#backup": may("backUp") && facts.mayBackUp && status === "active" && `${self}/backup`,
      "#delete": !declared && view.mayIn(environment, "delete") && self,
      "#activate": may("activate") && status === "inactive" && `${self}/activate`,
      "#deactivate":
        may("deactivate") && !facts.isMain && (status === "active" || status === "paused") && `${self}/deactivate`,
      "#pause": may("pause") && status === "active" && `${self}/pause`,
      "#resume": may("resume") && status === "paused" && `${self}/resume`,
    }),
  };
}
