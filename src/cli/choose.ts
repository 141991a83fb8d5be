import { type EnvironmentId, HoldfastError, type ProjectId } from "../base/index.ts";
import type { EnvironmentType } from "../engine/index.ts";
import type { ControlPlane, ListedEnvironment } from "./control-plane.ts";
import type { GlobalOptions } from "./global-options.ts";

const names = (list: readonly { readonly id: string }[]): string => list.map(({ id }) => id).join(", ");

/**
 * The project that is named, or the only one.
 * @param where who has these projects, as a sentence begins with it
 * @throws HoldfastError PROJECT_NOT_FOUND, INPUT_INVALID
 */
export function chooseProject<P extends { readonly id: ProjectId }>(
  projects: readonly P[],
  wanted: string | undefined,
  where = "The configuration",
): P {
  if (wanted !== undefined) {
    const project = projects.find(({ id }) => id === wanted);
    if (project !== undefined) return project;
    throw new HoldfastError("PROJECT_NOT_FOUND", `${where} has no project "${wanted}".`, {
      facts: { project: wanted },
      remedy: `Projects: ${names(projects)}`,
    });
  }
  const [only, ...others] = projects;
  if (only !== undefined && others.length === 0) return only;
  if (only === undefined) throw new HoldfastError("PROJECT_NOT_FOUND", `${where} has no project that you may see.`);
  throw new HoldfastError("INPUT_INVALID", `${where} has several projects.`, {
    remedy: `Name one with --project: ${names(projects)}`,
  });
}

/**
 * The environment that is named; for none, and for ".", the only production one, or the only one at all.
 * @throws HoldfastError ENVIRONMENT_NOT_FOUND, INPUT_INVALID
 */
export function chooseEnvironment<E extends { readonly id: EnvironmentId; readonly type: EnvironmentType }>(
  project: { readonly id: ProjectId; readonly environments: readonly E[] },
  wanted: string | undefined,
): E {
  const { environments } = project;
  if (wanted !== undefined && wanted !== ".") {
    const environment = environments.find(({ id }) => id === wanted);
    if (environment !== undefined) return environment;
    throw new HoldfastError("ENVIRONMENT_NOT_FOUND", `The project ${project.id} has no environment "${wanted}".`, {
      facts: { project: project.id, environment: wanted },
      remedy: `Environments: ${names(environments)}`,
    });
  }
  const main = mainEnvironment(environments);
  if (main !== undefined) return main;
  const production = environments.filter(({ type }) => type === "production");
  throw new HoldfastError(
    "INPUT_INVALID",
    `The project ${project.id} has ${production.length > 0 ? "several production environments" : "several environments and none is production"}.`,
    { remedy: `Name one with --environment: ${names(environments)}` },
  );
}

/** The plane's environment that the argument, else --environment, else the default names. @throws as `chooseEnvironment` */
export async function planeEnvironment(
  plane: ControlPlane,
  options: GlobalOptions,
  argument?: string,
): Promise<ListedEnvironment> {
  const environments = await plane.environments();
  return chooseEnvironment({ id: plane.project.id, environments }, argument ?? options.environment);
}

/** The environment that is meant when none is named: the only production one, or the only one at all. */
export function mainEnvironment<E extends { readonly type: EnvironmentType }>(
  environments: readonly E[],
): E | undefined {
  const production = environments.filter(({ type }) => type === "production");
  const [only, ...others] = production.length > 0 ? production : environments;
  return others.length === 0 ? only : undefined;
}
