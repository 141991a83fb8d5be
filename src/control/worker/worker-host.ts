import type { EnvironmentId, ProjectId } from "../../base/index.ts";
import type { EngineContext, EngineEvent, Environment, EnvironmentStatus } from "../../engine/index.ts";

/** An environment with its repository open, for one activity. */
export interface OpenSite {
  readonly context: EngineContext;
  readonly environment: Environment;
  /** How many days after it was made a manual backup expires; undefined for never. */
  readonly manualExpiryDays: number | undefined;
  close(): Promise<void>;
}

/** What a worker has of the machine that it runs on; the composition root makes it from the configuration. */
export interface WorkerHost {
  /** The environments that this worker takes activities of. */
  readonly environments: readonly { readonly project: ProjectId; readonly environment: EnvironmentId }[];

  /** @throws HoldfastError REPOSITORY_*, STORAGE_*, CONFIG_INVALID */
  open(
    project: ProjectId,
    environment: EnvironmentId,
    status: EnvironmentStatus,
    run: { readonly signal: AbortSignal; readonly onEvent: (event: EngineEvent) => void },
  ): Promise<OpenSite>;
}
