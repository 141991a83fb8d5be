import type { EnvironmentId } from "../../src/base/index.ts";
import type { OpenCatalog } from "../../src/control/index.ts";
import type { Random } from "../../test/fault/kill-plan.ts";
import { activityId, backupId, type CatalogSize, environmentOf, environments, projectOf } from "./rows.ts";

/** One call as the API or a worker makes it, of a random thing; returns how many rows came. */
export type CatalogCall = (catalog: OpenCatalog, random: Random, size: CatalogSize) => Promise<number>;

const below = (random: Random, count: number): number => Math.floor(random() * count);
const anyEnvironment = (random: Random): EnvironmentId =>
  environments[below(random, environments.length)] as EnvironmentId;
const found = (value: unknown): number => {
  if (value === undefined) throw new Error("not found");
  return 1;
};

export const catalogCalls: Readonly<Record<string, CatalogCall>> = {
  "backups of an environment": async (catalog, random) =>
    (await catalog.list(projectOf(below(random, 10)), anyEnvironment(random))).length,
  "one backup": async (catalog, random, { backups }) => {
    const n = below(random, backups);
    return found(await catalog.get(projectOf(n), backupId(n)));
  },
  "newest 10 activities of a project": async (catalog, random) =>
    (await catalog.activities.list(projectOf(below(random, 10)), { limit: 10 })).length,
  "newest 100 activities of an environment": async (catalog, random) =>
    (await catalog.activities.list(projectOf(below(random, 10)), { limit: 100, environment: anyEnvironment(random) }))
      .length,
  "10 restores of a project before a moment": async (catalog, random) =>
    (
      await catalog.activities.list(projectOf(below(random, 10)), {
        limit: 10,
        types: ["environment.restore"],
        before: new Date(Date.UTC(2026, 10, 25) - below(random, 20) * 86_400_000),
      })
    ).length,
  "10 finished restores and deletions of a project": async (catalog, random) =>
    (
      await catalog.activities.list(projectOf(below(random, 10)), {
        limit: 10,
        types: ["environment.restore", "environment.backup.delete"],
        states: ["complete", "cancelled"],
      })
    ).length,
  "restores in progress of a project, of which there are none": async (catalog, random) =>
    (
      await catalog.activities.list(projectOf(below(random, 10)), {
        limit: 10,
        types: ["environment.restore"],
        states: ["in_progress"],
      })
    ).length,
  "10 failed restores of a project": async (catalog, random) =>
    (
      await catalog.activities.list(projectOf(below(random, 10)), {
        limit: 10,
        types: ["environment.restore"],
        result: "failure",
      })
    ).length,
  "10 failed activities of a project": async (catalog, random) =>
    (await catalog.activities.list(projectOf(below(random, 10)), { limit: 10, result: "failure" })).length,
  "cancelled backups of an environment": async (catalog, random) =>
    (
      await catalog.activities.list(projectOf(below(random, 10)), {
        limit: 10,
        types: ["environment.backup"],
        states: ["cancelled"],
        environment: anyEnvironment(random),
      })
    ).length,
  "pending and running activities of a project": async (catalog, random) =>
    (await catalog.activities.listOpen(projectOf(below(random, 10)))).length,
  "one activity": async (catalog, random, { activities }) => {
    const n = below(random, activities);
    return found(await catalog.activities.get(projectOf(n), activityId(n)));
  },
  "environments of a project": async (catalog, random) =>
    (await catalog.projects.environments(projectOf(below(random, 10)))).length,
  "one environment": async (catalog, random, { backups }) => {
    const n = below(random, backups);
    return found(await catalog.projects.environment(projectOf(n), environmentOf(n)));
  },
  "claiming an activity and giving it back": async (catalog) => {
    const worker = { id: "w", place: "here", serves: () => true };
    const limits = { inProject: 2, inStorage: 4 };
    const claim = await catalog.queue.claim(worker, { leaseMs: 30_000, limits });
    if (claim === undefined) throw new Error("nothing to claim");
    await catalog.queue.release(claim, { availableAfterMs: 0, stays: false, messages: [] });
    return 1;
  },
};
