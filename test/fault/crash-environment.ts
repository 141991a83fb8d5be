import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type EnvironmentId, type ProjectId, silentLogger, systemClock } from "../../src/base/index.ts";
import { openCatalog } from "../../src/control/index.ts";
import type { EngineContext, EngineEvent, Environment } from "../../src/engine/index.ts";
import { type AtVerb, FileComponent } from "../../src/engine/conformance/file-component.ts";
import type { Gateway } from "../../src/gateway/index.ts";
import { createRepository, openRepository } from "../../src/repository/index.ts";
import { LocalBackend } from "../../src/storage/index.ts";

export const password = "crash";

export interface CrashTest {
  readonly context: EngineContext;
  readonly environment: Environment;
  readonly catalog: EngineContext["catalog"];
  readonly components: readonly FileComponent[];
  readonly events: EngineEvent[];
  close(): Promise<void>;
}

const freeGateway: Gateway = {
  hold: async () => ({
    lost: new AbortController().signal,
    release: async () => ({ drainMs: 0, heldMs: 0, requestsHeld: 0, longestWaitMs: 0, requestsFailed: 0 }),
  }),
  assertReachable: async () => undefined,
  releaseAbandoned: async () => undefined,
};

export async function initCrashTest(folder: string): Promise<void> {
  for (const name of ["data", "state"]) mkdirSync(join(folder, name), { recursive: true, mode: 0o700 });
  await createRepository(new LocalBackend(join(folder, "repository")), { password });
}

/** The environment's data, without its repository: opening that takes most of a second. */
export function crashComponents(folder: string, at: AtVerb = () => undefined): readonly FileComponent[] {
  return ["a", "b", "c"].map((name) => new FileComponent(join(folder, "data"), name, at));
}

export async function openCrashTest(folder: string, at: AtVerb): Promise<CrashTest> {
  const stateDirectory = join(folder, "state");
  const catalog = await openCatalog({ file: join(stateDirectory, "catalog.db") }, { clock: systemClock });
  const backend = new LocalBackend(join(folder, "repository"));
  const repository = await openRepository(backend, { password, workers: 1 });
  const components = crashComponents(folder, at);
  const events: EngineEvent[] = [];
  return {
    catalog,
    components,
    events,
    context: {
      repository,
      catalog,
      stateDirectory,
      hostname: "test",
      clock: systemClock,
      log: silentLogger,
      signal: new AbortController().signal,
      onEvent: (event) => void events.push(event),
    },
    environment: {
      project: "shop" as ProjectId,
      id: "main" as EnvironmentId,
      type: "production",
      manualCount: undefined,
      status: "active",
      components,
      gateway: freeGateway,
      drainTimeoutMs: 1000,
      holdTimeoutMs: 5000,
      hooks: { beforeHold: [], afterRelease: [], beforeRestore: [], afterRestore: [] },
    },
    close: async () => {
      await repository.close();
      await catalog.close();
    },
  };
}
