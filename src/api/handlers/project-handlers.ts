import { HoldfastError, type ProjectId } from "../../base/index.ts";
import {
  dataRetention,
  environmentTypes,
  type JsonValue,
  mergeRetention,
  retentionKey,
  type UserId,
} from "../../control/index.ts";
import type { Operations, projectOperations, Result } from "../../contract/index.ts";
import type { ProjectView } from "../caller.ts";
import type { Handlers } from "../operation-handlers.ts";
import { hrefs, links } from "../representation/links.ts";
import { representProject } from "../representation/project-representation.ts";
import { representAuditEntry, representGrant } from "../representation/user-representation.ts";
import type { ApiServices } from "../server-facts.ts";

const defaultAuditCount = 100;

export const projectHandlers: Handlers<keyof typeof projectOperations> = {
  listProjects: async ({ caller, services }) =>
    Promise.all((await caller.projects()).map((view) => showProject(services, view))),

  getProject: async ({ caller, services, parameters }) =>
    showProject(services, await caller.project(parameters.project)),

  getCapabilities: async ({ caller, parameters }) => {
    await caller.project(parameters.project);
    return {
      data_retention: { enabled: true },
      source_operations: { enabled: false },
      runtime_operations: { enabled: false },
      autoscaling: { enabled: false },
      integrations: { enabled: false, config: {} },
    };
  },

  getSettings: async ({ caller, services, parameters }) => {
    const view = await caller.project(parameters.project);
    const settings = await services.catalog.projects.settings(view.id);
    return showSettings(services, view, settings.get(retentionKey));
  },

  updateSettings: async ({ caller, services, parameters, body }) => {
    const view = await caller.project(parameters.project);
    view.assertMay("editSettings");
    const change = body.data_retention;
    const settings = await services.catalog.projects.changeSettings(
      view.id,
      (before) =>
        new Map(
          change === undefined ? [] : [[retentionKey, mergeRetention(before.get(retentionKey), change)] as const],
        ),
      caller.author,
    );
    const entity = showSettings(services, view, settings.get(retentionKey));
    return { status: "OK", code: 200, _embedded: { entity, activities: [] } };
  },

  listEnvironmentTypes: async ({ caller, parameters }) => {
    const view = await caller.project(parameters.project);
    return environmentTypes.map((type) => showEnvironmentType(view, type));
  },

  getEnvironmentType: async ({ caller, parameters }) => {
    const view = await caller.project(parameters.project);
    const type = environmentTypes.find((one) => one === parameters.type);
    if (type !== undefined) return showEnvironmentType(view, type);
    throw new HoldfastError("REQUEST_UNKNOWN", `There is no type of environment ${JSON.stringify(parameters.type)}.`, {
      remedy: `Types: ${environmentTypes.join(", ")}`,
    });
  },

  listUserAccess: async ({ caller, parameters }) => {
    const view = await caller.project(parameters.project);
    view.assertMay("viewAccess");
    return showAccess(view, await caller.access.projectAccess.listOfProject(view.id));
  },

  grantUserAccess: async ({ caller, parameters, body }) => {
    const view = await caller.project(parameters.project);
    view.assertMay("editAccess");
    const grants = [];
    for (const { user_id: user, permissions } of Array.isArray(body) ? body : [body]) {
      grants.push(await caller.access.projectAccess.set(view.id, user as UserId, permissions, caller.author));
    }
    return showAccess(view, grants);
  },

  getUserAccess: async ({ caller, parameters }) => {
    const view = await caller.project(parameters.project);
    if (parameters.user !== caller.user.id) view.assertMay("viewAccess");
    const grant = await caller.access.projectAccess.get(view.id, parameters.user as UserId);
    if (grant !== undefined) return representGrant(grant, { edit: view.may("editAccess") });
    throw new HoldfastError("USER_NOT_FOUND", `The project ${view.id} has no user ${JSON.stringify(parameters.user)}.`);
  },

  updateUserAccess: async ({ caller, parameters, body }) => {
    const view = await caller.project(parameters.project);
    view.assertMay("editAccess");
    const user = parameters.user as UserId;
    const grant = await caller.access.projectAccess.set(view.id, user, body.permissions, caller.author);
    return representGrant(grant, { edit: true });
  },

  removeUserAccess: async ({ caller, parameters }) => {
    const view = await caller.project(parameters.project);
    view.assertMay("editAccess");
    await caller.access.projectAccess.remove(view.id, parameters.user as UserId, caller.author);
    return undefined;
  },

  listTeamAccess: async ({ caller, parameters }) => {
    const view = await caller.project(parameters.project);
    view.assertMay("viewAccess");
    return { items: [], _links: links({ self: `${hrefs.project(view.id)}/team-access` }) };
  },

  listProjectAuditTrail: async ({ caller, parameters, query }) => {
    const view = await caller.project(parameters.project);
    view.assertMay("viewAuditTrail");
    const entries = await caller.access.auditTrail.list({ project: view.id, ...pageOf(query) });
    return entries.map((entry) => representAuditEntry(entry));
  },

  listAuditTrail: async ({ caller, query }) => {
    caller.assertAdministrator();
    return (await caller.access.auditTrail.list(pageOf(query))).map((entry) => representAuditEntry(entry));
  },
};

const pageOf = ({ before, count }: { readonly before?: string | undefined; readonly count?: number | undefined }) => ({
  limit: count ?? defaultAuditCount,
  ...(before === undefined ? {} : { before: new Date(before) }),
});

async function showProject(services: ApiServices, view: ProjectView): Promise<Result<Operations["getProject"]>> {
  const environments = await services.catalog.projects.environments(view.id);
  return representProject(
    view,
    environments.filter((environment) => environment.declared && view.mayIn(environment, "view")),
  );
}

function showSettings(
  services: ApiServices,
  view: ProjectView,
  set: JsonValue | undefined,
): Result<Operations["getSettings"]> {
  const self = `${hrefs.project(view.id)}/settings`;
  const retention = dataRetention(profileOf(services, view.id), set);
  const copied = (type: keyof typeof retention) => {
    const { max_backups, default_config: config } = retention[type];
    return { max_backups, default_config: { ...config, schedule: [...config.schedule] } };
  };
  return {
    product_name: "Holdfast",
    product_code: "holdfast",
    variables_prefix: "HOLDFAST_",
    data_retention: {
      production: copied("production"),
      staging: copied("staging"),
      development: copied("development"),
    },
    sizing_api_enabled: true,
    enable_paused_environments: true,
    enable_incremental_backups: true,
    _links: links({ self, "#edit": view.may("editSettings") && self }),
  };
}

const profileOf = (services: ApiServices, project: ProjectId) => services.configured(project)?.profile ?? "upsun";

function showEnvironmentType(view: ProjectView, type: (typeof environmentTypes)[number]) {
  return { id: type, attributes: {}, _links: links({ self: `${hrefs.project(view.id)}/environment-types/${type}` }) };
}

function showAccess(
  view: ProjectView,
  grants: readonly Parameters<typeof representGrant>[0][],
): Result<Operations["listUserAccess"]> {
  const self = `${hrefs.project(view.id)}/user-access`;
  const ids = grants.map(({ user }) => encodeURIComponent(user)).join(",");
  return {
    items: grants.map((grant) => representGrant(grant, { edit: view.may("editAccess") })),
    _links: links({
      self,
      "#add": view.may("editAccess") && self,
      "ref:users:0": grants.length > 0 && `/ref/users?in=${ids}`,
    }),
  };
}
