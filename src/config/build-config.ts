import { resolve } from "node:path";
import type { EnvironmentId, ProjectId } from "../base/index.ts";
import type {
  ApplicationConfig,
  Config,
  EnvironmentConfig,
  HooksConfig,
  PasswordSource,
  ProjectConfig,
  RepositoryConfig,
  ServerConfig,
} from "./config.ts";
import type { ConfigData } from "./config-schema.ts";
import { resolveServicePaths, type TypedParts } from "./driver-schemas.ts";

const dayMs = 86_400_000;

type ProjectData = ConfigData["projects"][string];
type EnvironmentData = ProjectData["environments"][string];

/** Makes the program's shape out of the file's, when nothing is wrong with it. */
export function buildConfig(
  data: ConfigData,
  parts: TypedParts,
  place: { readonly file: string; readonly directory: string },
): Config {
  const absolute = (path: string): string => resolve(place.directory, path);
  return {
    file: place.file,
    stateDirectory: absolute(data.state),
    server: buildServer(data.server, absolute),
    projects: Object.entries(data.projects).map(([name, project]) => buildProject(name, project, parts, absolute)),
  };
}

function buildServer(data: ConfigData["server"], absolute: (path: string) => string): ServerConfig {
  const tls = data?.tls;
  return {
    listen: data?.listen ?? { host: "127.0.0.1", port: 4400 },
    catalog: data?.catalog,
    publicUrl: data?.publicUrl,
    tls:
      tls === undefined
        ? undefined
        : { certificateFile: absolute(tls.certificateFile), keyFile: absolute(tls.keyFile) },
    keepActivitiesMs: data?.keepActivities ?? 365 * dayMs,
    trustedProxies: data?.trustedProxies ?? [],
  };
}

function buildProject(
  name: string,
  data: ProjectData,
  parts: TypedParts,
  absolute: (path: string) => string,
): ProjectConfig {
  return {
    id: name as ProjectId,
    title: data.title ?? name,
    profile: data.profile,
    repository: buildRepository(name, data, parts, absolute),
    environments: Object.entries(data.environments).map(([environment, value]) =>
      buildEnvironment(`projects/${name}/environments/${environment}`, environment, value, parts, absolute),
    ),
  };
}

function buildRepository(
  project: string,
  data: ProjectData,
  parts: TypedParts,
  absolute: (path: string) => string,
): RepositoryConfig {
  return {
    password: passwordSource(data.repository, absolute),
    verifyWrites: data.repository.verifyWrites,
    required: data.repository.required,
    replicas: data.repository.replicas.map((_, index) => {
      const replica = partAt(parts.replicas, `projects/${project}/repository/replicas/${index}`);
      return replica.type === "local" ? { ...replica, path: absolute(replica.path) } : replica;
    }),
  };
}

function buildEnvironment(
  path: string,
  name: string,
  data: EnvironmentData,
  parts: TypedParts,
  absolute: (path: string) => string,
): EnvironmentConfig {
  return {
    id: name as EnvironmentId,
    title: data.title ?? name,
    type: data.type,
    initialStatus: data.status,
    parent: data.parent as EnvironmentId | undefined,
    gateway: data.gateway === undefined ? undefined : partAt(parts.gateways, `${path}/gateway`),
    applications: Object.entries(data.applications).map(([application, value]): ApplicationConfig => ({
      name: application,
      code: value.code === undefined ? undefined : absolute(value.code),
      mounts: Object.entries(value.mounts).map(([mount, folder]) => ({ name: mount, path: absolute(folder) })),
      exclude: value.exclude,
    })),
    services: Object.keys(data.services).map((service) => ({
      name: service,
      config: resolveServicePaths(partAt(parts.services, `${path}/services/${service}`), absolute),
    })),
    hooks: buildHooks(data.hooks),
  };
}

function passwordSource(data: ProjectData["repository"], absolute: (path: string) => string): PasswordSource {
  if (data.passwordCommand !== undefined) return { kind: "command", command: argumentVector(data.passwordCommand) };
  if (data.passwordVariable !== undefined) return { kind: "variable", name: data.passwordVariable };
  if (data.passwordFile === undefined) throw new TypeError("a checked configuration says where the password is");
  return { kind: "file", file: absolute(data.passwordFile) };
}

const argumentVector = (command: string | readonly string[]): readonly string[] =>
  typeof command === "string" ? ["/bin/sh", "-c", command] : command;

function buildHooks(hooks: EnvironmentData["hooks"]): HooksConfig {
  const commands = (list: readonly (string | readonly string[])[]): (readonly string[])[] => list.map(argumentVector);
  return {
    beforeHold: commands(hooks.beforeHold),
    afterRelease: commands(hooks.afterRelease),
    beforeRestore: commands(hooks.beforeRestore),
    afterRestore: commands(hooks.afterRestore),
  };
}

function partAt<T>(parts: ReadonlyMap<string, T>, path: string): T {
  const part = parts.get(path);
  if (part === undefined) throw new TypeError(`the part ${path} of the configuration was not parsed`);
  return part;
}
