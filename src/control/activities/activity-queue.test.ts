import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type EnvironmentId, isHoldfastError, type ProjectId, systemClock } from "../../base/index.ts";
import { type CatalogPlace, type OpenCatalog, openCatalog } from "../catalog/open-catalog.ts";
import { catalogKinds, useCatalogPlaces } from "../testing/catalog-places.ts";
import type { Activity, ActivityId, Actor } from "./activity.ts";
import type { Claim, QueueWorker } from "./activity-queue.ts";
import { mostOpenActivities, type NewActivity, systemActor } from "./create-activity.ts";

const project = "shop" as ProjectId;
const ann: Actor = { id: "u1", name: "Ann", address: "192.0.2.1" };
const worker: QueueWorker = { id: "w1", place: "here", serves: () => true };
const limits = { inProject: 2, inStorage: 4 };
const options = { leaseMs: 30_000, limits };

const places = useCatalogPlaces();

const backupOf = (environment: string, more: Partial<NewActivity> = {}): NewActivity => ({
  project,
  environment: environment as EnvironmentId,
  type: "environment.backup",
  parameters: { live: true },
  payload: { backup_name: "b" },
  text: `Ann created a backup of ${environment}`,
  storage: "disk",
  ...more,
});

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const failure: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (isHoldfastError(failure)) return failure.code;
  throw new Error(`expected a HoldfastError, got ${String(failure)}`);
}

describe.each(catalogKinds)("the queue of activities on %s", (kind) => {
  let place: CatalogPlace;
  let catalog: OpenCatalog;

  beforeEach(async () => {
    place = places.fresh(kind);
    catalog = await openCatalog(place, { clock: systemClock });
    await catalog.projects.declare(
      [
        {
          id: project,
          title: "Shop",
          environments: ["main", "staging", "dev", "old"].map((id) => ({
            id: id as EnvironmentId,
            title: id,
            type: id === "main" ? "production" : id === "staging" ? "staging" : "development",
            parent: undefined,
            initialStatus: id === "old" ? "inactive" : "active",
          })),
        },
      ],
      { complete: true },
    );
  }, 30_000);
  afterEach(() => catalog.close());

  const create = async (environment: string, more: Partial<NewActivity> = {}, actor = ann): Promise<Activity> =>
    (await catalog.activities.create(backupOf(environment, more), actor)).activity;
  const claim = (by = worker): Promise<Claim | undefined> => catalog.queue.claim(by, options);
  const claimed = async (by = worker): Promise<Claim> => {
    const found = await claim(by);
    if (found === undefined) throw new Error("There was nothing to claim.");
    return found;
  };
  const get = async (id: ActivityId): Promise<Activity> => {
    const activity = await catalog.activities.get(project, id);
    if (activity === undefined) throw new Error(`no activity ${id}`);
    return activity;
  };
  const endLease = ({ activity }: Claim): void =>
    places.sql(place, `UPDATE activities SET lease_until = 1 WHERE id = '${activity.id}'`);

  test("keeps what was asked for, and who asked, from the moment that it was", async () => {
    const activity = await create("main");
    expect(await get(activity.id)).toEqual(activity);
    expect(activity).toMatchObject({ state: "pending", result: null, percent: 0, createdBy: "u1", startedAt: null });
    expect(await catalog.activities.list(project, { limit: 10 })).toEqual([activity]);
    expect(await catalog.activities.listOpen(project, "main" as EnvironmentId)).toEqual([activity]);
    // The audit trail has it, too: otherwise this fails on its key.
    places.sql(
      place,
      `INSERT INTO audit (id, at, actor, actor_name, action, target, detail)
      SELECT 'x' || id, at, actor, actor_name, action, target, detail FROM audit WHERE target = '${activity.id}'`,
    );
    expect(() =>
      places.sql(
        place,
        `INSERT INTO audit (id, at, actor, actor_name, action, target, detail)
        SELECT 'x' || id, at, actor, actor_name, action, target, detail FROM audit WHERE target = '${activity.id}'
        AND actor = 'u1' AND address = '192.0.2.1' AND action = 'environment.backup'`,
      ),
    ).toThrow(/unique/i);
  });

  test("creates nothing for an environment that is unknown or in the wrong status", async () => {
    expect(await codeOf(create("none"))).toBe("ENVIRONMENT_NOT_FOUND");
    expect(await codeOf(create("old"))).toBe("ENVIRONMENT_INACTIVE");
    expect(await codeOf(create("main", { type: "environment.resume" }))).toBe("ENVIRONMENT_INACTIVE");
    expect(await catalog.activities.list(project, { limit: 10 })).toEqual([]);
    await create("old", { type: "environment.activate" });
  });

  test("takes no more of people than a bounded number, for each environment, also at once; the schedule goes on", async () => {
    const { inEnvironment } = mostOpenActivities;
    const asked = await Promise.allSettled(
      Array.from({ length: inEnvironment + 5 }, () => catalog.activities.create(backupOf("main"), ann)),
    );
    expect(asked.filter(({ status }) => status === "fulfilled")).toHaveLength(inEnvironment);
    expect(await codeOf(catalog.activities.create(backupOf("main"), ann))).toBe("TOO_MANY_ACTIVITIES");
    expect((await catalog.activities.create(backupOf("main"), systemActor)).created).toBe(true);
    expect((await catalog.activities.create(backupOf("staging"), ann)).created).toBe(true);
    for (const { id } of (await catalog.activities.listOpen(project, "main" as EnvironmentId)).slice(0, 2)) {
      await catalog.activities.cancel(project, id, ann);
    }
    expect((await catalog.activities.create(backupOf("main"), ann)).created).toBe(true);
  }, 60_000);

  test("creates one activity for a due time, also when several want to at once", async () => {
    const made = await Promise.all(
      Array.from({ length: 5 }, () =>
        catalog.activities.create(backupOf("main", { onceKey: "due 04:00" }), systemActor),
      ),
    );
    expect(made.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(made.map(({ activity }) => activity.id)).size).toBe(1);
  });

  test("records a run that was skipped and one that another takes the place of", async () => {
    const skipped = await create("old", { skipped: "The environment is inactive." }, systemActor);
    expect(await get(skipped.id)).toMatchObject({ state: "cancelled", outcome: "skipped", result: null });
    expect(await catalog.activities.log(project, skipped.id, { from: 0, limit: 10 })).toMatchObject([
      { sequence: 0, message: "The environment is inactive." },
    ]);
    const first = await create("main", {}, systemActor);
    const byHand = await create("main");
    const second = await create("main", { supersedes: true }, systemActor);
    expect(await get(first.id)).toMatchObject({ state: "cancelled", outcome: "superseded" });
    expect((await get(byHand.id)).state).toBe("pending");
    expect((await get(second.id)).state).toBe("pending");
  });

  test("gives production first, one of an environment at a time, two of a project", async () => {
    const dev = await create("dev");
    const staging = await create("staging");
    const main = await create("main");
    const mainAgain = await create("main");
    const order = [await claimed(), await claimed()];
    expect(order.map(({ activity }) => activity.id)).toEqual([main.id, dev.id]);
    expect(await claim()).toBeUndefined();
    const [first, second] = order as [Claim, Claim];
    await catalog.queue.end(first, { result: "success", outcome: "done" });
    const third = await claimed();
    expect(third.activity.id).toBe(mainAgain.id);
    await catalog.queue.end(second, { result: "success", outcome: "done" });
    expect((await claimed()).activity.id).toBe(staging.id);
  });

  test("gives each worker what it serves only", async () => {
    await create("main");
    expect(await claim({ ...worker, serves: (_project, environment) => environment !== "main" })).toBeUndefined();
    expect((await claimed()).activity.environment).toBe("main");
  });

  test("tells how far an activity is, and how it ended", async () => {
    const { id } = await create("main");
    const held = await claimed();
    await catalog.queue.report(held, { percent: 40, messages: ["one", "two\nlines"], timings: { prepare: 1.5 } });
    await catalog.queue.report(held, { messages: ["three"], payload: { size: 12 } });
    expect(await get(id)).toMatchObject({ state: "in_progress", percent: 40, payload: { backup_name: "b", size: 12 } });
    const failure = { code: "SERVICE_UNREACHABLE", message: "db does not answer" };
    await catalog.queue.end(held, { result: "failure", outcome: "failed", failure, messages: ["four"] });
    const ended = await get(id);
    expect(ended).toMatchObject({ state: "complete", result: "failure", outcome: "failed", failure, percent: 40 });
    expect(Object.keys(ended.timings).toSorted()).toEqual(["execute", "prepare", "wait"]);
    expect(ended.endedAt?.getTime()).toBeGreaterThanOrEqual(ended.startedAt?.getTime() ?? Infinity);
    const log = await catalog.activities.log(project, id, { from: 1, limit: 2 });
    expect(log.map(({ sequence, message }) => [sequence, message])).toEqual([
      [1, "two\nlines"],
      [2, "three"],
    ]);
    expect(await catalog.activities.listOpen(project)).toEqual([]);
  });

  test("lets go of a worker whose lease is over: its successor has the activity, it cannot write any more", async () => {
    const { id } = await create("main");
    const first = await claimed();
    await catalog.queue.renew(first, 30_000);
    expect(await claim()).toBeUndefined();
    endLease(first);
    const second = await claimed({ ...worker, id: "w2" });
    expect(second).toMatchObject({ activity: { id }, wasBegun: true, losses: 1 });
    for (const late of [
      () => catalog.queue.renew(first, 30_000),
      () => catalog.queue.report(first, { messages: ["late"] }),
      () => catalog.queue.end(first, { result: "success", outcome: "done" }),
      () => catalog.queue.release(first, { availableAfterMs: 0, stays: false, messages: [] }),
    ]) {
      expect(await codeOf(late())).toBe("LEASE_LOST");
    }
    expect(await catalog.activities.log(project, id, { from: 0, limit: 10 })).toEqual([]);
    await catalog.queue.end(second, { result: "success", outcome: "done" });
    expect(await codeOf(catalog.queue.end(second, { result: "success", outcome: "done" }))).toBe("LEASE_LOST");
  });

  test("leaves what was begun to workers of the same state folder", async () => {
    await create("main");
    const first = await claimed();
    endLease(first);
    expect(await claim({ ...worker, place: "elsewhere" })).toBeUndefined();
    const second = await claimed();
    await catalog.queue.release(second, { availableAfterMs: 0, stays: true, messages: ["busy"] });
    expect(await claim({ ...worker, place: "elsewhere" })).toBeUndefined();
    const third = await claimed();
    expect(third.wasBegun).toBe(true);
    await catalog.queue.release(third, { availableAfterMs: 0, stays: false, messages: [] });
    expect(await claim({ ...worker, place: "elsewhere" })).toBeDefined();
  });

  test("gives back what was released no earlier than it may begin", async () => {
    await create("main");
    await catalog.queue.release(await claimed(), { availableAfterMs: 3_600_000, stays: false, messages: [] });
    expect(await claim()).toBeUndefined();
    places.sql(place, "UPDATE activities SET available_at = 1");
    expect(await claim()).toBeDefined();
  });

  test("ends the leases of a state folder at once for the one process that may use it", async () => {
    await create("main");
    await claimed();
    expect(await catalog.queue.endLeases("elsewhere")).toBe(0);
    expect(await catalog.queue.endLeases("here")).toBe(1);
    expect((await claimed()).losses).toBe(1);
  });

  test("cancels a pending activity at once, asks a worker to stop, refuses for one that has ended", async () => {
    const pending = await create("main");
    expect(await catalog.activities.cancel(project, pending.id, ann)).toMatchObject({
      state: "cancelled",
      result: null,
    });
    expect(await codeOf(catalog.activities.cancel(project, pending.id, ann))).toBe("ACTIVITY_NOT_CANCELLABLE");
    expect(await codeOf(catalog.activities.cancel(project, "none" as ActivityId, ann))).toBe("ACTIVITY_NOT_FOUND");
    const running = await create("main");
    const held = await claimed();
    expect(await catalog.queue.renew(held, 30_000)).toEqual({ cancelRequested: false });
    expect((await catalog.activities.cancel(project, running.id, ann)).state).toBe("in_progress");
    expect(await catalog.queue.renew(held, 30_000)).toEqual({ cancelRequested: true });
    await catalog.queue.end(held, { result: "failure", outcome: "cancelled" });
    expect(await get(running.id)).toMatchObject({ state: "cancelled", outcome: "cancelled" });
  });

  test("lets a person give up an activity whose machine has not been heard of for long", async () => {
    const { id } = await create("main");
    const held = await claimed();
    endLease(held);
    expect(await catalog.activities.cancel(project, id, ann)).toMatchObject({ state: "cancelled", outcome: "lost" });
    expect(await codeOf(catalog.queue.renew(held, 30_000))).toBe("LEASE_LOST");
  });

  test("shows an environment as dirty while an activity changes it", async () => {
    await create("main", { type: "environment.restore" });
    const status = async (): Promise<string | undefined> =>
      (await catalog.projects.environment(project, "main" as EnvironmentId))?.status;
    expect(await status()).toBe("active");
    const held = await claimed();
    expect(await status()).toBe("dirty");
    await catalog.queue.end(held, { result: "success", outcome: "done" });
    expect(await status()).toBe("active");
  });

  test("lists by type, state, result and time, newest first", async () => {
    const ids: ActivityId[] = [];
    for (const type of ["environment.backup", "environment.restore", "environment.backup.delete"] as const) {
      ids.unshift((await create("main", { type })).id, (await create("dev", { type })).id);
    }
    places.sql(
      place,
      ids.map((id, n) => `UPDATE activities SET created_at = ${1000 - n} WHERE id = '${id}'`).join(";"),
    );
    const list = async (filter: Parameters<typeof catalog.activities.list>[1]): Promise<readonly string[]> =>
      (await catalog.activities.list(project, filter)).map(({ id }) => id);
    expect(await list({ limit: 10 })).toEqual(ids);
    expect(await list({ limit: 2 })).toEqual(ids.slice(0, 2));
    expect(await list({ limit: 10, before: new Date(998) })).toEqual(ids.slice(3));
    expect(await list({ limit: 3, types: ["environment.restore", "environment.backup"] })).toEqual(ids.slice(2, 5));
    const held = await claimed();
    await catalog.queue.end(held, { result: "success", outcome: "done" });
    expect(await list({ limit: 10, states: ["complete", "cancelled"] })).toEqual([held.activity.id]);
    expect(await list({ limit: 10, result: "failure" })).toEqual([]);
    expect(await list({ limit: 10, states: ["pending"], environment: "dev" as EnvironmentId })).toHaveLength(3);
  });

  test("tells other processes and this one of what changed", async () => {
    const other = await openCatalog(place, { clock: systemClock });
    const told = Promise.withResolvers<void>();
    const heard: string[] = [];
    const ready = Promise.withResolvers<void>();
    const leave = other.activities.watch((changed) => {
      heard.push(changed?.id ?? "something");
      if (kind === "sqlite" || changed !== undefined) told.resolve();
      ready.resolve();
    });
    // On PostgreSQL the first thing that is told is that it listens now.
    if (kind === "postgresql") await ready.promise;
    const own: string[] = [];
    const leaveOwn = catalog.activities.watch((changed) => own.push(changed?.id ?? "something"));
    const { id } = await create("main");
    await told.promise;
    expect(heard.at(-1)).toBe(kind === "sqlite" ? "something" : id);
    if (kind === "sqlite") expect(own).toEqual([id]);
    leave();
    leaveOwn();
    await other.close();
  });

  test("never exceeds a cap with eight claimers at once, and each activity goes to one", async () => {
    const script = join(places.folder(), `claimer-${kind}.ts`);
    const here = import.meta.dirname;
    await writeFile(
      script,
      `import { openCatalog } from ${JSON.stringify(join(here, "../catalog/open-catalog.ts"))};
       import { systemClock } from ${JSON.stringify(join(here, "../../base/index.ts"))};
       import { createRequire } from "node:module";
       import { DatabaseSync } from "node:sqlite";
       const place = ${JSON.stringify(place)};
       const catalog = await openCatalog(place, { clock: systemClock, timeoutMs: 60_000 });
       // In one statement: of two, the second would see what began after the first.
       const statement = "SELECT project, environment FROM activities WHERE state = 'in_progress'";
       const pool = "url" in place ? new (createRequire(${JSON.stringify(import.meta.filename)})("pg").Pool)({ connectionString: place.url, max: 1 }) : undefined;
       const database = "file" in place ? new DatabaseSync(place.file, { timeout: 60_000 }) : undefined;
       const inProgress = async () => pool === undefined ? database.prepare(statement).all() : (await pool.query(statement)).rows;
       const worker = { id: process.argv[2], place: "here", serves: () => true };
       const seen = [];
       for (let idle = 0; idle < 300;) {
         const claim = await catalog.queue.claim(worker, { leaseMs: 30_000, limits: { inProject: 2, inStorage: 3 } });
         if (claim === undefined) { idle += 1; continue; }
         idle = 0;
         const running = await inProgress();
         const most = (key) => Math.max(0, ...Object.values(Object.groupBy(running, key)).map((some) => some.length));
         seen.push({ id: claim.activity.id, fence: claim.fence, environment: most((one) => one.project + one.environment),
           project: most((one) => one.project), storage: running.length });
         await catalog.queue.end(claim, { result: "success", outcome: "done" });
       }
       await catalog.close();
       await pool?.end();
       console.log(JSON.stringify(seen));`,
    );
    const blog = "blog" as ProjectId;
    const environments = ["main", "staging", "dev"].map((id) => ({
      id: id as EnvironmentId,
      title: id,
      type: "staging" as const,
      parent: undefined,
      initialStatus: "active" as const,
    }));
    await catalog.projects.declare([{ id: blog, title: "Blog", environments }], { complete: false });
    const ids = new Set<string>();
    for (let n = 0; n < 10; n += 1) {
      for (const environment of ["main", "staging", "dev"]) {
        for (const one of [project, blog]) ids.add((await create(environment, { project: one })).id);
      }
    }
    const run = promisify(execFile);
    const outputs = await Promise.all(
      Array.from({ length: 8 }, (_, n) => run(process.execPath, [script, `w${n}`], { maxBuffer: 1e8 })),
    );
    const seen = outputs.flatMap(({ stdout }) => JSON.parse(stdout) as Record<string, number | string>[]);
    expect(seen).toHaveLength(ids.size);
    expect(new Set(seen.map(({ id }) => id))).toEqual(ids);
    const most = (key: string): number => Math.max(...seen.map((one) => Number(one[key])));
    expect(["fence", "environment"].map(most)).toEqual([1, 1]);
    expect(most("project")).toBeLessThanOrEqual(2);
    expect(most("storage")).toBeLessThanOrEqual(3);
  }, 120_000);
});
