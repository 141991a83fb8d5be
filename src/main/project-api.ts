import { readFile } from "node:fs/promises";
import { once } from "node:events";
import { type ApiServices, type ConfiguredProject, signInLinkUrl, startApiServer } from "../api/index.ts";
import { type Clock, HoldfastError, type Logger, serverSocketPath, type SourceId } from "../base/index.ts";
import { type Config, type EnvironmentConfig, fileProblem, type ProjectConfig } from "../config/index.ts";
import type { Composition } from "../cli/index.ts";
import { RepositoryContents } from "./repository-contents.ts";
import { type ComponentIdentity, manualBackupPolicy, type OpenCatalog } from "../control/index.ts";

export interface ProjectApiOptions {
  readonly clock: Clock;
  readonly version: string;
  readonly composition: Composition;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /**
   * @param url where it listens
   * @param setupLink the one-time link with which the first administrator sets a password; undefined if there is one
   */
  readonly onListening: (url: string, setupLink: string | undefined) => void;
}

/** Serves the API until the signal, then lets running requests finish. @throws HoldfastError CONFIG_INVALID, STATE_UNUSABLE */
export async function runProjectApi(config: Config, catalog: OpenCatalog, options: ProjectApiOptions): Promise<void> {
  const { listen, publicUrl, tls, trustedProxies } = config.server;
  const { clock, version, log, signal } = options;
  const contents = new RepositoryContents(config, options.composition);
  const services: ApiServices = { catalog, clock, version, log, configured: configuredProjects(config), contents };
  const server = await startApiServer(services, {
    ...listen,
    trustedProxies,
    control: {
      path: await serverSocketPath(config.stateDirectory),
      owner: `command line on ${options.composition.hostname}`,
    },
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(tls === undefined
      ? {}
      : {
          tls: {
            certificate: await readPem(tls.certificateFile, "certificateFile"),
            key: await readPem(tls.keyFile, "keyFile"),
          },
        }),
  });
  try {
    const secret = await catalog.access.signInLinks.createForFirstAdministrator();
    options.onListening(server.url, secret === undefined ? undefined : signInLinkUrl(server.origin, secret));
    if (!signal.aborted) await once(signal, "abort");
  } finally {
    await server.stop();
  }
}

function configuredProjects(config: Config): ApiServices["configured"] {
  const projects = new Map(config.projects.map((project) => [project.id, configuredProject(project)]));
  return (id) => projects.get(id);
}

function configuredProject(project: ProjectConfig): ConfiguredProject {
  const environments = new Map(
    project.environments.map((environment) => [
      environment.id,
      {
        hasGateway: environment.gateway !== undefined,
        hasCode: environment.applications.some(({ code }) => code !== undefined),
        components: componentsOf(environment),
        manualBackups: manualBackupPolicy(project.profile, environment.type),
      },
    ]),
  );
  return {
    profile: project.profile,
    storage: project.id,
    replicas: project.repository.replicas.map(({ name }) => name),
    environment: (id) => environments.get(id),
  };
}

/** An environment's components, by its configuration alone. */
const componentsOf = ({ services, applications }: EnvironmentConfig): readonly ComponentIdentity[] =>
  [
    ...services.map(({ name, config: { type } }) => ({ id: `service:${name}`, kind: type })),
    ...applications.flatMap(({ name, mounts, code }) => [
      ...mounts.map((mount) => ({ id: `mount:${name}/${mount.name}`, kind: "mount" })),
      ...(code === undefined ? [] : [{ id: `code:${name}`, kind: "code" }]),
    ]),
  ].map(({ id, kind }) => ({ id: id as SourceId, kind }));

async function readPem(file: string, key: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new HoldfastError(
      "CONFIG_INVALID",
      `The file ${file} (server.tls.${key}) cannot be read: ${fileProblem(error)}.`,
      {
        facts: { file },
        cause: error,
      },
    );
  }
}
