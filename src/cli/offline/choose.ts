import { HoldfastError } from "../../base/index.ts";
import type { Config, EnvironmentConfig, ProjectConfig } from "../../config/index.ts";

const names = (list: readonly { readonly id: string }[]): string => list.map(({ id }) => id).join(", ");

/** The project that is named, or the only one. @throws HoldfastError PROJECT_NOT_FOUND, INPUT_INVALID */
export function chooseProject(config: Config, wanted: string | undefined): ProjectConfig {
  if (wanted !== undefined) {
    const project = config.projects.find(({ id }) => id === wanted);
    if (project !== undefined) return project;
    throw new HoldfastError("PROJECT_NOT_FOUND", `The configuration has no project "${wanted}".`, {
      facts: { project: wanted },
      remedy: `Projects: ${names(config.projects)}`,
    });
  }
  const [only, ...others] = config.projects;
  if (only !== undefined && others.length === 0) return only;
  throw new HoldfastError("INPUT_INVALID", "The configuration has several projects.", {
    remedy: `Name one with --project: ${names(config.projects)}`,
  });
}

/**
 * The environment that is named; for none, and for ".", the only production one, or the only one at all.
 * @throws HoldfastError ENVIRONMENT_NOT_FOUND, INPUT_INVALID
 */
export function chooseEnvironment(project: ProjectConfig, wanted: string | undefined): EnvironmentConfig {
  const { environments } = project;
  if (wanted !== undefined && wanted !== ".") {
    const environment = environments.find(({ id }) => id === wanted);
    if (environment !== undefined) return environment;
    throw new HoldfastError("ENVIRONMENT_NOT_FOUND", `The project ${project.id} has no environment "${wanted}".`, {
      facts: { project: project.id, environment: wanted },
      remedy: `Environments: ${names(environments)}`,
    });
  }
  const production = environments.filter(({ type }) => type === "production");
  const candidates = production.length > 0 ? production : environments;
  const [only, ...others] = candidates;
  if (only !== undefined && others.length === 0) return only;
  throw new HoldfastError(
    "INPUT_INVALID",
    `The project ${project.id} has ${production.length > 0 ? "several production environments" : "several environments and none is production"}.`,
    { remedy: `Name one with --environment: ${names(environments)}` },
  );
}
