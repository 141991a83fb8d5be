import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  type Clock,
  type EnvironmentId,
  type Logger,
  type ProjectId,
  silentLogger,
  systemClock,
} from "../../../src/base/index.ts";
import { type CatalogPlace, type OpenCatalog, openCatalog, type WorkerHost } from "../../../src/control/index.ts";
import { type ActivitySite } from "./activity-requests.ts";
import { type AtVerb, FileComponent } from "../../../src/engine/conformance/file-component.ts";
import type { Component } from "../../../src/engine/index.ts";
import type { Gateway } from "../../../src/gateway/index.ts";
import { createRepository, openRepository, type Repository } from "../../../src/repository/index.ts";
import { LocalBackend } from "../../../src/storage/index.ts";

// A project with three environments of three file components each, for workers' tests: everything real but the gateway.

export const password = "worker";
export const project = "shop" as ProjectId;
export const environments = ["main", "staging", "dev"].map((id) => id as EnvironmentId);

export const activitySite = (environment: EnvironmentId): ActivitySite => ({
  project,
  environment: { id: environment, title: environment },
  storage: "disk",
});

export async function initSite(folder: string, place: CatalogPlace): Promise<void> {
  mkdirSync(join(folder, "state"), { recursive: true, mode: 0o700 });
  for (const environment of environments) mkdirSync(join(folder, "data", environment), { recursive: true });
  await createRepository(new LocalBackend(join(folder, "repository")), { password });
  const catalog = await openCatalog(place, { clock: systemClock });
  const declared = environments.map((id) => ({
    id,
    title: id,
    type: id === "main" ? ("production" as const) : ("development" as const),
    parent: undefined,
    initialStatus: "active" as const,
  }));
  await catalog.projects.declare([{ id: project, title: "Shop", environments: declared }], { complete: true });
  await catalog.close();
}

export function removeSite(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

export const componentsOf = (folder: string, environment: EnvironmentId, at?: AtVerb): readonly FileComponent[] =>
  ["a", "b", "c"].map((name) => new FileComponent(join(folder, "data", environment), name, at));

export const openSiteRepository = (folder: string): Promise<Repository> =>
  openRepository(new LocalBackend(join(folder, "repository")), { password, workers: 1 });

const freeGateway: Gateway = {
  hold: async () => ({
    lost: new AbortController().signal,
    release: async () => ({ drainMs: 0, heldMs: 0, requestsHeld: 0, longestWaitMs: 0, requestsFailed: 0 }),
  }),
  assertReachable: async () => undefined,
  releaseAbandoned: async () => undefined,
};

export interface SiteHostOptions {
  /** Called before and after each step of a component, with the signal that stops its activity. */
  readonly at?: (...step: [...Parameters<AtVerb>, AbortSignal]) => void | Promise<void>;
  readonly clock?: Clock;
  readonly log?: Logger;
}

/** Tells a component's steps with the signal that the engine gave it. */
function signalledComponents(folder: string, environment: EnvironmentId, at: SiteHostOptions["at"]): Component[] {
  let signal = new AbortController().signal;
  const tell: AtVerb = (source, verb, when) => at?.(source, verb, when, signal);
  return componentsOf(folder, environment, tell).map((component) => ({
    id: component.id,
    kind: component.kind,
    path: component.path,
    source: () => {
      const source = component.source();
      const prepare = source.prepare.bind(source);
      source.prepare = async (context) => {
        ({ signal } = context);
        await prepare(context);
      };
      return source;
    },
    target: () => {
      const target = component.target();
      const stage = target.stage.bind(target);
      target.stage = async (context, backup) => {
        ({ signal } = context);
        return stage(context, backup);
      };
      return target;
    },
  }));
}

export function siteHost(
  folder: string,
  catalog: OpenCatalog,
  { at, clock = systemClock, log = silentLogger }: SiteHostOptions = {},
): WorkerHost {
  return {
    environments: environments.map((environment) => ({ project, environment })),
    open: async (_project, id, status, { signal, onEvent }) => {
      const repository = await openSiteRepository(folder);
      return {
        environment: {
          project,
          id,
          type: "development",
          manualCount: undefined,
          status,
          components: signalledComponents(folder, id, at),
          gateway: freeGateway,
          drainTimeoutMs: 1000,
          holdTimeoutMs: 5000,
          hooks: { beforeHold: [], afterRelease: [], beforeRestore: [], afterRestore: [] },
        },
        manualExpiryDays: 7,
        context: {
          repository,
          catalog,
          stateDirectory: join(folder, "state"),
          hostname: "test",
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
