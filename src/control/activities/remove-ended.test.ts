import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type EnvironmentId, HoldfastError, type Logger, type ProjectId, systemClock } from "../../base/index.ts";
import { type CatalogPlace, type OpenCatalog, openCatalog } from "../catalog/open-catalog.ts";
import { catalogKinds, useCatalogPlaces } from "../testing/catalog-places.ts";
import { removeOldActivities } from "../worker/remove-old-activities.ts";
import type { Activity, Actor } from "./activity.ts";
import type { QueueWorker } from "./activity-queue.ts";

const project = "shop" as ProjectId;
const environments = ["main", "staging", "dev"].map((id) => id as EnvironmentId);
const ann: Actor = { id: "u1", name: "Ann", address: null };
const worker: QueueWorker = { id: "w1", place: "here", serves: () => true };
const options = { leaseMs: 30_000, limits: { inProject: 9, inStorage: 9 } };
const dayMs = 86_400_000;

const places = useCatalogPlaces();

describe.each(catalogKinds)("old activities on %s", (kind) => {
  let place: CatalogPlace;
  let catalog: OpenCatalog;

  beforeEach(async () => {
    place = places.fresh(kind);
    catalog = await openCatalog(place, { clock: systemClock });
    const declared = environments.map((id) => ({
      id,
      title: id,
      type: "development" as const,
      parent: undefined,
      initialStatus: "active" as const,
    }));
    await catalog.projects.declare([{ id: project, title: "Shop", environments: declared }], { complete: true });
  }, 30_000);
  afterEach(() => catalog.close());

  async function create(environment: EnvironmentId): Promise<Activity> {
    const { activity } = await catalog.activities.create(
      {
        project,
        environment,
        type: "environment.backup",
        parameters: {},
        payload: {},
        text: `Ann created a backup of ${environment}`,
        storage: "disk",
      },
      ann,
    );
    return activity;
  }

  /** Ended, with a log. */
  async function ended(environment: EnvironmentId): Promise<Activity> {
    const activity = await create(environment);
    const claim = await catalog.queue.claim(worker, options);
    if (claim === undefined) throw new Error("nothing to claim");
    await catalog.queue.end(claim, { result: "success", outcome: "done", messages: ["done\n"] });
    return activity;
  }

  const age = (days: number): void =>
    places.sql(
      place,
      `UPDATE activities SET created_at = created_at - ${days * dayMs}, updated_at = updated_at - ${days * dayMs},
         ended_at = ended_at - ${days * dayMs}`,
    );

  const ids = async (): Promise<string[]> =>
    (await catalog.activities.list(project, { limit: 100 })).map(({ id }) => id).toSorted();
  const logOf = ({ id }: Activity): Promise<readonly unknown[]> =>
    catalog.activities.log(project, id, { from: 0, limit: 10 });

  test("are removed with their logs once they ended longer ago than they are kept, the oldest first, some at a time", async () => {
    const [main, staging, dev] = environments as [EnvironmentId, EnvironmentId, EnvironmentId];
    const oldest = await ended(main);
    age(10);
    const older = await ended(main);
    age(20);
    const recent = await ended(main);
    // However old, they have not ended: one in progress, one that waits.
    const running = await create(staging);
    expect((await catalog.queue.claim(worker, options))?.activity.id).toBe(running.id);
    const waiting = await create(dev);
    age(1);

    const keep = { keepMs: 15 * dayMs };
    expect(await catalog.activities.removeEnded({ ...keep, limit: 1 })).toBe(1);
    expect(await ids()).toEqual([older, recent, running, waiting].map(({ id }) => id).toSorted());
    expect(await logOf(oldest)).toEqual([]);
    expect(await logOf(older)).toHaveLength(1);
    expect(await catalog.activities.removeEnded({ ...keep, limit: 10 })).toBe(1);
    expect(await catalog.activities.removeEnded({ ...keep, limit: 10 })).toBe(0);
    expect(await ids()).toEqual([recent, running, waiting].map(({ id }) => id).toSorted());
    expect(await logOf(recent)).toHaveLength(1);
    // Not even with no time at all.
    expect(await catalog.activities.removeEnded({ keepMs: -dayMs, limit: 10 })).toBe(1);
    expect(await ids()).toEqual([running, waiting].map(({ id }) => id).toSorted());
  });

  test("are removed by two processes at once, each of them once", async () => {
    for (let n = 0; n < 6; n += 1) await ended(environments[n % 3] as EnvironmentId);
    age(10);
    // On SQLite two connections of one process would wait for each other for ever.
    const other = kind === "sqlite" ? catalog : await openCatalog(place, { clock: systemClock });
    try {
      const removing = [catalog, other, catalog, other].map((one) =>
        one.activities.removeEnded({ keepMs: dayMs, limit: 4 }),
      );
      const counts = await Promise.all(removing);
      const rest = await catalog.activities.removeEnded({ keepMs: dayMs, limit: 10 });
      expect(counts.reduce((sum, count) => sum + count, rest)).toBe(6);
      expect(await ids()).toEqual([]);
    } finally {
      await other.close();
    }
  });

  test("are removed by a worker batch after batch, and again when the catalog could not be reached", async () => {
    for (let n = 0; n < 3; n += 1) await ended(environments[n] as EnvironmentId);
    age(10);
    const stop = new AbortController();
    const said: string[] = [];
    const log: Logger = {
      debug: () => undefined,
      info: (message, facts) => {
        said.push(`${message} ${JSON.stringify(facts)}`);
        stop.abort();
      },
      warn: (message) => void said.push(message),
      error: () => undefined,
    };
    let calls = 0;
    const activities = {
      removeEnded: async (limits: { readonly keepMs: number; readonly limit: number }): Promise<number> => {
        calls += 1;
        if (calls === 1) throw new HoldfastError("STATE_UNUSABLE", "The catalog does not answer.");
        return catalog.activities.removeEnded(limits);
      },
    };
    await removeOldActivities({ activities, keepMs: dayMs, log, everyMs: 1, batch: 2 }, stop.signal);
    expect(said).toEqual([
      "Old activities could not be removed; it is tried again",
      'Old activities were removed {"activities":3}',
    ]);
    expect(await ids()).toEqual([]);
  });
});
