import { type ConfigDocument, type ConfigPath, type ConfigProblem } from "./config-document.ts";
import type { ConfigData } from "./config-schema.ts";
import { suggestion } from "./schema-problems.ts";

/** What single values cannot show: names that refer to others, doubles, an empty map where one is needed. */
export function crossCheck(document: ConfigDocument, data: ConfigData): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const report = (path: ConfigPath, message: string): void => {
    problems.push({ ...document.positionOf(path), message: `"${path.map(String).join(".")}": ${message}` });
  };
  if (Object.keys(data.projects).length === 0) report(["projects"], "there is no project");

  for (const [projectName, project] of Object.entries(data.projects)) {
    const projectPath = ["projects", projectName];
    const { replicas, required, passwordFile, passwordCommand, passwordVariable } = project.repository;
    const passwords = [passwordFile, passwordCommand, passwordVariable].filter((source) => source !== undefined);
    if (passwords.length !== 1) {
      report(
        [...projectPath, "repository"],
        `${passwords.length === 0 ? "a password comes" : "the password comes"} from one of passwordFile, passwordCommand and passwordVariable; ${passwords.length} are given`,
      );
    }
    if (required > replicas.length) {
      report(
        [...projectPath, "repository", "required"],
        `${required} replicas are required, there are ${replicas.length}`,
      );
    }
    reportDoubles(
      replicas.map((replica, index) => [replica.name, [...projectPath, "repository", "replicas", index, "name"]]),
      (name, path) => report(path, `another replica is named ${name}`),
    );

    const names = Object.keys(project.environments);
    if (names.length === 0) report([...projectPath, "environments"], "there is no environment");
    for (const [name, environment] of Object.entries(project.environments)) {
      const path = [...projectPath, "environments", name];
      const { parent } = environment;
      // With a common catalog it may be an environment that only another machine's file has.
      const known = parent === undefined || names.includes(parent) || data.server?.catalog !== undefined;
      if (!known) {
        const others = names.filter((other) => other !== name);
        report([...path, "parent"], `there is no environment "${parent}"${suggestion(parent, others)}`);
      } else if (parent !== undefined && isOwnAncestor(project.environments, name)) {
        report([...path, "parent"], "an environment is not its own ancestor");
      }
      reportDoubles(
        Object.entries(environment.applications).flatMap(([application, { mounts }]) =>
          Object.entries(mounts).map(([mount, folder]): [string, ConfigPath] => [
            folder,
            [...path, "applications", application, "mounts", mount],
          ]),
        ),
        (folder, at) => report(at, `another mount is ${folder} already`),
      );
    }
  }
  return problems;
}

function reportDoubles(
  named: readonly (readonly [string, ConfigPath])[],
  report: (name: string, path: ConfigPath) => void,
): void {
  const seen = new Set<string>();
  for (const [name, path] of named) {
    if (seen.has(name)) report(name, path);
    seen.add(name);
  }
}

function isOwnAncestor(
  environments: Readonly<Record<string, { readonly parent?: string | undefined }>>,
  name: string,
): boolean {
  const seen = new Set<string>();
  let at = environments[name]?.parent;
  while (at !== undefined && !seen.has(at)) {
    if (at === name) return true;
    seen.add(at);
    at = environments[at]?.parent;
  }
  return false;
}
