import { once } from "node:events";
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HoldfastError, newBackupId, newOperationId, silentLogger, systemClock } from "../../../src/base/index.ts";
import {
  type Activity,
  ActivityWorker,
  type Actor,
  type CatalogPlace,
  hasEnded,
  type NewActivity,
  type OpenCatalog,
  openCatalog,
  systemActor,
} from "../../../src/control/index.ts";
import { backupActivity, backupDeleteActivity, restoreActivity, statusActivity } from "./activity-requests.ts";
import { catalogKinds, useCatalogPlaces } from "../../../src/control/testing/catalog-places.ts";
import { lockEnvironment } from "../../../src/engine/environment-lock.ts";
import {
  activitySite,
  componentsOf,
  environments,
  initSite,
  openSiteRepository,
  project,
  removeSite,
  siteHost,
  type SiteHostOptions,
} from "./worker-site.ts";

const ann: Actor = { id: "u1", name: "Ann", address: null };
const [main] = environments as [(typeof environments)[number]];
const site = activitySite(main);
const places = useCatalogPlaces();

const aborted = async (signal: AbortSignal): Promise<void> => {
  if (!signal.aborted) await once(signal, "abort");
};

describe.each(catalogKinds)("a worker on %s", (kind) => {
  let folder: string;
  let place: CatalogPlace;
  let catalog: OpenCatalog;
  let stop: AbortController;
  let running: Promise<void> | undefined;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "holdfast-worker-"));
    place = places.fresh(kind);
    await initSite(folder, place);
    catalog = await openCatalog(place, { clock: systemClock });
    stop = new AbortController();
    for (const component of componentsOf(folder, main)) component.data = "first";
  });
  afterEach(async () => {
    stop.abort();
    await running;
    await catalog.close();
    removeSite(folder);
  });

  /** The worker's own connection, as in a process of its own. */
  function work(at?: SiteHostOptions["at"], graceMs = 60_000): void {
    running = (async () => {
      const own = await openCatalog(place, { clock: systemClock });
      const host = siteHost(folder, own, at === undefined ? {} : { at });
      const options = { catalog: own, host, id: "w", place: "here", clock: systemClock, log: silentLogger, graceMs };
      await new ActivityWorker({ ...options, pollMs: 50 }).run(stop.signal);
      await own.close();
    })();
  }

  const create = async (request: NewActivity, actor = ann): Promise<Activity> =>
    (await catalog.activities.create(request, actor)).activity;

  /** Resolves when the activity is as it should be. */
  async function until({ id }: Activity, is: (activity: Activity) => boolean): Promise<Activity> {
    const reached = Promise.withResolvers<Activity>();
    const look = async (): Promise<void> => {
      const found = await catalog.activities.get(project, id);
      if (found !== undefined && is(found)) reached.resolve(found);
    };
    const leave = catalog.activities.watch(() => void look().catch(reached.reject));
    try {
      await look();
      return await reached.promise;
    } finally {
      leave();
    }
  }
  const ended = (activity: Activity): Promise<Activity> => until(activity, hasEnded);
  const logOf = async ({ id }: Activity): Promise<string> =>
    (await catalog.activities.log(project, id, { from: 0, limit: 1000 })).map(({ message }) => message).join("");
  const data = (): (string | undefined)[] => componentsOf(folder, main).map((component) => component.data);
  const operations = (): string[] => readdirSync(join(folder, "state/operations"));

  test("backs up, restores and deletes, and tells of it", async () => {
    work();
    const backup = await ended(await create(backupActivity(site, ann, { safe: true })));
    expect(backup).toMatchObject({ state: "complete", result: "success", outcome: "done", percent: 100 });
    expect(Object.keys(backup.timings).toSorted()).toEqual(["execute", "hold", "prepare", "store", "wait"]);
    const [stored] = await catalog.list(project);
    expect(stored).toMatchObject({ id: backup.payload["backup_name"], safe: true, automated: false });
    if (stored === undefined) throw new Error("no backup");
    // As the profile has it.
    expect(stored.expiresAt?.getTime()).toBeGreaterThan(stored.createdAt.getTime() + 6 * 86_400_000);
    expect(await logOf(backup)).toMatch(new RegExp(`hold: drained.*\n[^]*The backup ${stored.id} is complete: .*\n$`));
    for (const component of componentsOf(folder, main)) component.data = "changed";
    const restore = { backup: stored.id, source: main, restoreCode: true };
    expect(await ended(await create(restoreActivity(site, ann, restore)))).toMatchObject({ result: "success" });
    expect(data()).toEqual(["first", "first", "first"]);
    expect(await ended(await create(backupDeleteActivity(site, ann, stored.id)))).toMatchObject({ result: "success" });
    expect(await catalog.list(project)).toEqual([]);
    expect(operations()).toEqual([]);
  });

  test("changes an environment's status", async () => {
    work();
    for (const [type, status] of [
      ["environment.pause", "paused"],
      ["environment.resume", "active"],
      ["environment.deactivate", "inactive"],
      ["environment.activate", "active"],
    ] as const) {
      expect(await ended(await create(statusActivity(site, ann, type)))).toMatchObject({ result: "success" });
      expect((await catalog.projects.environment(project, main))?.status).toBe(status);
    }
  });

  test("records why an activity failed", async () => {
    work((_source, verb) => {
      if (verb === "freeze") throw new HoldfastError("FREEZE_FAILED", "planted", { remedy: "Look." });
    });
    const failed = await ended(await create(backupActivity(site, ann, { safe: false })));
    expect(failed).toMatchObject({
      state: "complete",
      result: "failure",
      outcome: "failed",
      failure: { code: "FREEZE_FAILED", message: "planted" },
    });
    expect(await logOf(failed)).toContain("It failed: planted\n  Look.   [FREEZE_FAILED]\n");
    const gone = await ended(await create(backupDeleteActivity(site, ann, newBackupId())));
    expect(gone.failure?.code).toBe("BACKUP_NOT_FOUND");
  });

  test("stops an activity that is cancelled, and undoes it", async () => {
    const reached = Promise.withResolvers<void>();
    work(async (source, verb, when, signal) => {
      if (source !== "service:a" || verb !== "stage" || when !== "after") return;
      reached.resolve();
      await aborted(signal);
    });
    const backup = await ended(await create(backupActivity(site, ann, { safe: true })));
    for (const component of componentsOf(folder, main)) component.data = "changed";
    const [stored] = await catalog.list(project);
    if (stored === undefined) throw new Error(`no backup: ${await logOf(backup)}`);
    const restore = await create(restoreActivity(site, ann, { backup: stored.id, source: main, restoreCode: true }));
    await reached.promise;
    await catalog.activities.cancel(project, restore.id, ann);
    expect(await ended(restore)).toMatchObject({ state: "cancelled", result: "failure", outcome: "cancelled" });
    expect(data()).toEqual(["changed", "changed", "changed"]);
    expect(operations()).toEqual([]);
  });

  test("waits for an environment that another process works on", async () => {
    const lock = lockEnvironment(
      join(folder, "state"),
      { project, id: main },
      { id: newOperationId(), kind: "backup" },
    );
    const backup = await create(backupActivity(site, ann, { safe: true }));
    work();
    const waiting = await until(backup, ({ state, startedAt }) => state === "pending" && startedAt !== null);
    expect(await logOf(waiting)).toMatch(/^It waits: Another operation is running on main/);
    lock.release();
    places.sql(place, "UPDATE activities SET available_at = 1");
    expect(await ended(backup)).toMatchObject({ result: "success" });
  });

  test("stops what it does when its lease is lost, and writes nothing more of it", async () => {
    const reached = Promise.withResolvers<void>();
    work(async (source, verb, when, signal) => {
      if (source !== "service:a" || verb !== "read" || when !== "before") return;
      reached.resolve();
      await aborted(signal);
    });
    const backup = await create(backupActivity(site, ann, { safe: true }));
    await reached.promise;
    // As a successor does; the worker hears of it by the change that is told.
    places.sql(place, `UPDATE activities SET fence = 99, worker = 'successor'`);
    if (kind === "postgresql") {
      places.sql(
        place,
        `SELECT pg_notify('holdfast_activities', '{"project":"shop","id":"${backup.id}","state":true}')`,
      );
    }
    stop.abort();
    await running;
    expect(await catalog.activities.get(project, backup.id)).toMatchObject({ state: "in_progress", result: null });
    expect(operations()).toEqual([]);
  });

  test("undoes and gives back what runs when it has to stop, and another takes it up", async () => {
    const reached = Promise.withResolvers<void>();
    work(async (source, verb, when, signal) => {
      if (source !== "service:a" || verb !== "read" || when !== "before") return;
      reached.resolve();
      stop.abort();
      await aborted(signal);
    }, 0);
    const backup = await create(backupActivity(site, ann, { safe: true }));
    await reached.promise;
    await running;
    expect(await catalog.activities.get(project, backup.id)).toMatchObject({ state: "pending" });
    expect(operations()).toEqual([]);
    stop = new AbortController();
    work();
    expect(await ended(backup)).toMatchObject({ state: "complete", result: "success" });
    const repository = await openSiteRepository(folder);
    expect(await repository.snapshots()).toHaveLength(1);
    await repository.close();
  });

  test("skips what the schedule asked for where the environment is active no longer", async () => {
    const backup = await create(backupActivity(site, systemActor, { safe: false, automated: true }), systemActor);
    await catalog.setEnvironmentStatus(project, main, "paused");
    work();
    expect(await ended(backup)).toMatchObject({ state: "cancelled", outcome: "skipped" });
  });
});
