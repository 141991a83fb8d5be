import { HoldfastError } from "../../base/index.ts";
import type { ActivityType, CatalogEnvironment, EnvironmentAction } from "../../control/index.ts";
import type { environmentOperations, Operations, Result } from "../../contract/index.ts";
import type { Caller, ProjectView } from "../caller.ts";
import type { Handlers } from "../operation-handlers.ts";
import { accepted } from "../representation/activity-representation.ts";
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
    if (body.status === undefined) {
      throw new HoldfastError("INPUT_INVALID", "Of an environment only the status can be changed here.", {
        remedy: "Its title, type and parent are in the server's configuration file.",
      });
    }
    const change = {
      active: environment.status === "paused" ? "resume" : "activate",
      inactive: "deactivate",
      paused: "pause",
    } as const;
    return changeStatus(services, caller, view, environment, change[body.status]);
  },

  activateEnvironment: ({ caller, services, parameters }) => change(services, caller, parameters, "activate"),
  deactivateEnvironment: ({ caller, services, parameters }) => change(services, caller, parameters, "deactivate"),
  pauseEnvironment: ({ caller, services, parameters }) => change(services, caller, parameters, "pause"),
  resumeEnvironment: ({ caller, services, parameters }) => change(services, caller, parameters, "resume"),
};

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
