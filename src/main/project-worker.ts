import { type Clock, type EnvironmentId, HoldfastError, type Logger, type ProjectId } from "../base/index.ts";
import type { Composition } from "../cli/index.ts";
import type { Config, EnvironmentConfig, ProjectConfig } from "../config/index.ts";
import {
  ActivityWorker,
  lockWorker,
  manualPolicy,
  type OpenCatalog,
  removeOldActivities,
  retentionKey,
  type WorkerHost,
  workerPlace,
} from "../control/index.ts";

export interface ProjectWorkerOptions {
  readonly composition: Composition;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly onReady: (place: string) => void;
}

/**
 * Works on the activities of the configuration's environments until the signal. With the catalog in a file this is the only
 * process that does, so it begins by taking up what a killed one left in progress.
 * @throws HoldfastError WORKER_RUNNING, STATE_UNUSABLE
 */
export async function runProjectWorker(
  config: Config,
  catalog: OpenCatalog,
  options: ProjectWorkerOptions,
): Promise<void> {
  const { composition, clock, log, signal } = options;
  const isAlone = config.server.catalog === undefined;
  const lock = isAlone ? await lockWorker(config.stateDirectory) : undefined;
  try {
    const place = await workerPlace(config.stateDirectory);
    if (isAlone) {
      const left = await catalog.queue.endLeases(place);
      if (left > 0) log.warn("Activities were left in progress and are taken up again", { activities: left });
    }
    const worker = new ActivityWorker({
      catalog,
      host: workerHost(config, composition, catalog, { clock, log }),
      id: `${composition.hostname}:${process.pid}`,
      place,
      clock,
      log,
    });
    options.onReady(place);
    const { keepActivitiesMs } = config.server;
    await Promise.all([
      worker.run(signal),
      removeOldActivities({ activities: catalog.activities, keepMs: keepActivitiesMs, log }, signal),
    ]);
  } finally {
    lock?.release();
  }
}

function workerHost(
  config: Config,
  composition: Composition,
  catalog: OpenCatalog,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): WorkerHost {
  return {
    environments: config.projects.flatMap((project) =>
      project.environments.map((environment) => ({ project: project.id, environment: environment.id })),
    ),
    open: async (projectId, environmentId, status, { signal, onEvent }) => {
      const { project, environment } = find(config, projectId, environmentId);
      // Made before the repository is opened, which then has to be closed.
      const composed = await composition.environment(config, project, environment, status);
      const settings = await catalog.projects.settings(project.id);
      const { count, expiryDays } = manualPolicy(project.profile, environment.type, settings.get(retentionKey));
      const repository = await composition.openRepository(config, project, signal);
      return {
        environment: { ...composed, manualCount: count },
        manualExpiryDays: expiryDays,
        context: {
          repository,
          catalog,
          stateDirectory: config.stateDirectory,
          hostname: composition.hostname,
          clock,
          log,
          signal,
          onEvent,
        },
        close: () => repository.close(),
      };
    },
  };
}

function find(
  config: Config,
  projectId: ProjectId,
  environmentId: EnvironmentId,
): { readonly project: ProjectConfig; readonly environment: EnvironmentConfig } {
  const project = config.projects.find(({ id }) => id === projectId);
  const environment = project?.environments.find(({ id }) => id === environmentId);
  if (project !== undefined && environment !== undefined) return { project, environment };
  throw new HoldfastError(
    "ENVIRONMENT_NOT_FOUND",
    `The configuration has no environment ${projectId}/${environmentId}.`,
  );
}
