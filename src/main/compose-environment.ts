import { join } from "node:path";
import type { SourceId } from "../base/index.ts";
import { CodeSource, CodeTarget } from "../code/index.ts";
import type { ApplicationConfig, Config, EnvironmentConfig, ProjectConfig } from "../config/index.ts";
import { manualBackupPolicy } from "../control/index.ts";
import type { Component, Environment, EnvironmentStatus } from "../engine/index.ts";
import {
  BuiltinGateway,
  CommandGateway,
  controlSocketPath,
  type Gateway,
  type GatewayConfig,
} from "../gateway/index.ts";
import { MountSource, MountTarget } from "../mounts/index.ts";
import { sqliteFiles } from "../services/index.ts";
import { pathsWithin, pathWithin } from "./paths-within.ts";
import { composeService } from "./compose-service.ts";

const defaultDrainTimeoutMs = 15_000;
const defaultHoldTimeoutMs = 30_000;

/** The environment as the engine works on it. */
export async function composeEnvironment(
  config: Config,
  project: ProjectConfig,
  environment: EnvironmentConfig,
  status: EnvironmentStatus,
): Promise<Environment> {
  const { gateway } = environment;
  const claimed = claimedPaths(environment);
  const socket = await controlSocketPath(config.stateDirectory, project.id, environment.id);
  return {
    project: project.id,
    id: environment.id,
    type: environment.type,
    manualCount: manualBackupPolicy(project.profile, environment.type).count,
    status,
    components: [
      ...environment.services.map(({ name, config: service }) => composeService(name, service, claimed)),
      ...environment.applications.flatMap((application) => composeApplication(application, claimed)),
    ],
    gateway: gateway === undefined ? undefined : composeGateway(gateway, socket),
    drainTimeoutMs: gateway?.drainTimeoutMs ?? defaultDrainTimeoutMs,
    holdTimeoutMs: gateway?.holdTimeoutMs ?? defaultHoldTimeoutMs,
    hooks: environment.hooks,
  };
}

function composeGateway(config: GatewayConfig, controlSocket: string): Gateway {
  return config.type === "builtin"
    ? new BuiltinGateway(controlSocket)
    : new CommandGateway({ hold: config.hold, release: config.release });
}

/**
 * Files and folders that are components of their own: whatever other component's folder they are in leaves them to it.
 * Absolute paths.
 */
function claimedPaths({ applications, services }: EnvironmentConfig): string[] {
  return [
    ...applications.flatMap(({ code, mounts }) => [
      ...(code === undefined ? [] : [code]),
      ...mounts.map(({ path }) => path),
    ]),
    ...services.flatMap(({ config }) => {
      if (config.type === "directory") return [config.path];
      return config.type === "sqlite" ? sqliteFiles(config.path) : [];
    }),
  ];
}

function composeApplication(application: ApplicationConfig, claimed: readonly string[]): Component[] {
  const mounts = application.mounts.map((mount) => composeMount(application, mount, claimed));
  return application.code === undefined ? mounts : [...mounts, composeCode(application, application.code, claimed)];
}

function composeMount(
  application: ApplicationConfig,
  mount: ApplicationConfig["mounts"][number],
  claimed: readonly string[],
): Component {
  const id = `mount:${application.name}/${mount.name}` as SourceId;
  // Patterns start at the deployed folder; for a mount elsewhere its name stands for its place in it.
  const inCode = application.code === undefined ? undefined : pathWithin(application.code, mount.path);
  const options = {
    id,
    root: mount.path,
    exclude: application.exclude,
    excludeBase: inCode ?? mount.name,
    apart: pathsWithin(mount.path, claimed),
  };
  return {
    id,
    kind: "mount",
    path: `mounts/${application.name}/${mount.name}`,
    source: () => new MountSource(options),
    target: (folder) =>
      new MountTarget(
        folder === undefined
          ? options
          : {
              ...options,
              root: join(options.root, folder),
              base: options.root,
              excludeBase: join(options.excludeBase, folder),
              apart: pathsWithin(join(mount.path, folder), claimed),
            },
      ),
  };
}

function composeCode(application: ApplicationConfig, code: string, claimed: readonly string[]): Component {
  const id = `code:${application.name}` as SourceId;
  const options = { id, root: code, exclude: application.exclude, mounts: claimed };
  return {
    id,
    kind: "code",
    path: `code/${application.name}`,
    source: () => new CodeSource(options),
    target: (folder) =>
      new CodeTarget(
        folder === undefined ? options : { ...options, root: join(code, folder), base: code, excludeBase: folder },
      ),
  };
}
