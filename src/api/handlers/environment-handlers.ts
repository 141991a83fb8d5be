import { HoldfastError } from "../../base/index.ts";
import type { ActivityType, CatalogEnvironment, EnvironmentAction } from "../../control/index.ts";
import type { environmentOperations, Operations, Result } from "../../contract/index.ts";
import type { Caller, ProjectView } from "../caller.ts";
import type { Handlers } from "../operation-handlers.ts";
import { accepted } from "../representation/activity-representation.ts";
import { hrefs, links } from "../representation/links.ts";
import { mainEnvironment, representEnvironment } from "../representation/project-representation.ts";
import { requestActivity } from "../request-activity.ts";
import type { ApiServices } from "../server-facts.ts";

type Names = Extract<
  keyof typeof environmentOperations,
  | "listEnvironments"
  | "getEnvironment"
  | "updateEnvironment"
  | "activateEnvironment"
  | "deactivateEnvironment"
  | "pauseEnvironment"
  | "resumeEnvironment"
  | "redeployEnvironment"
  | "branchEnvironment"
  | "synchronizeEnvironment"
  | "mergeEnvironment"
  | "deleteEnvironment"
  | "getEnvironmentSettings"
>;

export const environmentHandlers: Handlers<Names> = {
  listEnvironments: async ({ caller, services, parameters }) => {
    const view = await caller.project(parameters.project);
    const all = await services.catalog.projects.environments(view.id);
    const visible = all.filter((environment) => view.mayIn(environment, "view"));
    return Promise.all(visible.map((environment) => show(services, view, environment, all)));
  },

  getEnvironment: async ({ caller, services, parameters }) => {
    const { view, environment } = await caller.environment(parameters.project, parameters.environment);
    return show(services, view, environment, await services.catalog.projects.environments(view.id));
  },

  updateEnvironment: async ({ caller, services, parameters, body }) => {
    const { view, environment } = await caller.environment(parameters.project, parameters.environment, "edit");
    const { status, ...others } = body;
    const [other] = Object.keys(others);
    if (status === undefined || other !== undefined) {
      const what = other === undefined ? "" : `, not its ${other.slice(0, 100)}`;
      throw new HoldfastError("INPUT_INVALID", `Only the status of an environment can be changed here${what}.`, {
        remedy: "Its title, type and parent are in the server's configuration file.",
      });
    }
    const change = {
      active: environment.status === "paused" ? "resume" : "activate",
      inactive: "deactivate",
      paused: "pause",
    } as const;
    return changeStatus(services, caller, view, environment, change[status]);
  },

  activateEnvironment: ({ caller, services, parameters }) => change(services, caller, parameters, "activate"),
  deactivateEnvironment: ({ caller, services, parameters }) => change(services, caller, parameters, "deactivate"),
  pauseEnvironment: ({ caller, services, parameters }) => change(services, caller, parameters, "pause"),
  resumeEnvironment: ({ caller, services, parameters }) => change(services, caller, parameters, "resume"),

  redeployEnvironment: ({ caller, parameters }) => refuse(caller, parameters, "redeploy"),
  branchEnvironment: ({ caller, parameters }) => refuse(caller, parameters, "branch"),
  synchronizeEnvironment: ({ caller, parameters }) => refuse(caller, parameters, "synchronize"),
  mergeEnvironment: ({ caller, parameters }) => refuse(caller, parameters, "merge"),

  getEnvironmentSettings: async ({ caller, parameters }) => {
    const { environment } = await caller.environment(parameters.project, parameters.environment);
    return {
      enable_manual_deployments: false,
      _links: links({ self: `${hrefs.environment(environment.project, environment.id)}/settings` }),
    };
  },

  deleteEnvironment: async ({ caller, services, parameters }) => {
    const { view, environment } = await caller.environment(parameters.project, parameters.environment, "delete");
    await services.catalog.projects.removeEnvironment(view.id, environment.id, caller.author);
    return { status: "OK", code: 200, _embedded: { activities: [] } };
  },
};

/** Of Upsun's operations those that need a platform which deploys: why not, and what to do instead. */
const unsupported = {
  redeploy: ["This server does not deploy", "Deploy as you always do, then restart the application."],
  branch: [
    "This server makes no environments",
    "Declare the environment in the server's configuration file, then restore a backup to it: backup:restore --target.",
  ],
  synchronize: [
    "This server does not copy environments into each other",
    "Make a backup of the parent and restore it: backup:restore --target, with --no-code for data only.",
  ],
  merge: ["This server has no Git repository", "Merge in your Git repository, then deploy."],
} as const satisfies Partial<Record<EnvironmentAction, readonly [why: string, remedy: string]>>;

/** @throws HoldfastError OPERATION_UNSUPPORTED, to those who might otherwise do it */
async function refuse(
  caller: Caller,
  parameters: { readonly project: string; readonly environment: string },
  action: keyof typeof unsupported,
): Promise<never> {
  const { environment } = await caller.environment(parameters.project, parameters.environment, action);
  const [why, remedy] = unsupported[action];
  throw new HoldfastError("OPERATION_UNSUPPORTED", `${why}: "${action}" is not possible for ${environment.id}.`, {
    facts: { environment: environment.id, operation: action },
    remedy,
  });
}

type StatusChange = Extract<EnvironmentAction, "activate" | "deactivate" | "pause" | "resume">;

const done: Readonly<Record<StatusChange, string>> = {
  activate: "activated",
  deactivate: "deactivated",
  pause: "paused",
  resume: "resumed",
};

async function change(
  services: ApiServices,
  caller: Caller,
  parameters: { readonly project: string; readonly environment: string },
  action: StatusChange,
): Promise<Result<Operations["activateEnvironment"]>> {
  const { view, environment } = await caller.environment(parameters.project, parameters.environment, action);
  return changeStatus(services, caller, view, environment, action);
}

async function changeStatus(
  services: ApiServices,
  caller: Caller,
  view: ProjectView,
  environment: CatalogEnvironment,
  action: StatusChange,
): Promise<Result<Operations["activateEnvironment"]>> {
  const declared = (await services.catalog.projects.environments(view.id)).filter((one) => one.declared);
  if (action === "deactivate" && mainEnvironment(declared)?.id === environment.id) {
    throw new HoldfastError(
      "INPUT_INVALID",
      `${environment.id} is the project's main environment, which stays active.`,
    );
  }
  const activity = await requestActivity(services, caller, view, environment, {
    type: `environment.${action}` satisfies ActivityType,
    parameters: {},
    text: `${caller.user.displayName} ${done[action]} environment ${environment.title}`,
  });
  return accepted(activity, { cancel: true });
}

async function show(
  services: ApiServices,
  view: ProjectView,
  environment: CatalogEnvironment,
  all: readonly CatalogEnvironment[],
): Promise<Result<Operations["getEnvironment"]>> {
  const configured = services.configured(view.id)?.environment(environment.id);
  const latest = await services.catalog.latestBackup(view.id, environment.id);
  return representEnvironment(view, environment, {
    isMain: mainEnvironment(all.filter(({ declared }) => declared))?.id === environment.id,
    hasCode: configured?.hasCode ?? false,
    headCommit: latest === undefined || latest.commitId === "" ? null : latest.commitId,
    lastBackupAt: latest?.createdAt ?? null,
    mayBackUp: configured?.manualBackups.allowed ?? false,
  });
}
