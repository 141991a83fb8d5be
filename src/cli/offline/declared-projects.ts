import type { Config, ProjectConfig } from "../../config/index.ts";
import type { DeclaredProject } from "../../control/index.ts";

/** What the configuration says of its projects, or of some of them, that the catalog keeps. */
export function declaredProjects(
  config: Config,
  projects: readonly ProjectConfig[] = config.projects,
): DeclaredProject[] {
  return projects.map(({ id, title, environments }) => ({
    id,
    title,
    environments: environments.map(({ id, title, type, parent, initialStatus }) => ({
      id,
      title,
      type,
      parent,
      initialStatus,
    })),
  }));
}
