import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type EnvironmentId, type ProjectId, systemClock } from "../../src/base/index.ts";
import {
  type Activity,
  type Actor,
  type CatalogPlace,
  hasEnded,
  type OpenCatalog,
  openCatalog,
} from "../../src/control/index.ts";
import { backupActivity, restoreActivity } from "../fault/activities/activity-requests.ts";
import { catalogKinds, useCatalogPlaces } from "../../src/control/testing/catalog-places.ts";

const program = resolve(import.meta.dirname, "../../bin/holdfast.js");
const ann: Actor = { id: "u1", name: "Ann", address: null };
const project = "shop" as ProjectId;
const main = "main" as EnvironmentId;
const site = { project, environment: { id: main, title: "Main" }, storage: "disk" };
const places = useCatalogPlaces();

describe.each(catalogKinds)("holdfast serve with its catalog on %s", (kind) => {
  let folder: string;
  let place: CatalogPlace;
  let catalog: OpenCatalog;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-serve-"));
    await mkdir(join(folder, "media"));
    await mkdir(join(folder, "state"), { mode: 0o700 });
    await writeFile(join(folder, "media/a.txt"), "alpha");
    place = kind === "sqlite" ? { file: join(folder, "state/catalog.db") } : places.fresh(kind);
    await writeFile(
      join(folder, "holdfast.yaml"),
      `version: 1
state: ./state
${"url" in place ? `server: { catalog: "${place.url}" }\n` : ""}projects:
  shop:
    repository:
      passwordFile: ./repository.key
      replicas: [{ name: disk, type: local, path: ./repository }]
    environments:
      main:
        type: production
        applications: { app: { mounts: { media: ./media } } }
`,
    );
    expect(await ended(start("init", "--quiet"))).toMatchObject({ exit: 0 });
    catalog = await openCatalog(place, { clock: systemClock });
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    }
    await catalog.close();
    await rm(folder, { recursive: true });
  });

  function start(...args: string[]): ChildProcess {
    const child = spawn(process.execPath, [program, ...args], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    children.push(child);
    return child;
  }

  async function ended(child: ChildProcess): Promise<{ readonly exit: number | null; readonly err: string }> {
    const [err, [exit]] = await Promise.all([
      child.stderr === null ? "" : text(child.stderr),
      once(child, "close") as Promise<[number | null]>,
    ]);
    return { exit, err };
  }

  /** Resolves when it has said this; what else it says is dropped. */
  async function said(child: ChildProcess, words: string): Promise<void> {
    const ready = Promise.withResolvers<void>();
    let seen = "";
    child.stderr?.on("data", (chunk) => {
      seen += String(chunk);
      if (seen.includes(words)) ready.resolve();
    });
    child.once("close", () => ready.reject(new Error(`It ended: ${seen}`)));
    await ready.promise;
  }

  const working = (child: ChildProcess): Promise<void> => said(child, "Working on the activities of");

  async function end({ id }: Activity): Promise<Activity> {
    const found = Promise.withResolvers<Activity>();
    const look = async (): Promise<void> => {
      const activity = await catalog.activities.get(project, id);
      if (activity !== undefined && hasEnded(activity)) found.resolve(activity);
    };
    const leave = catalog.activities.watch(() => void look().catch(found.reject));
    try {
      await look();
      return await found.promise;
    } finally {
      leave();
    }
  }

  test("does what activities ask for, and stops when it is told to", async () => {
    const worker = start("serve", "--role", "worker");
    await working(worker);
    const backup = await end(
      (await catalog.activities.create(backupActivity(site, ann, { safe: false }), ann)).activity,
    );
    expect(backup).toMatchObject({ result: "success", percent: 100 });
    const [stored] = await catalog.list(project);
    if (stored === undefined) throw new Error("no backup");
    await writeFile(join(folder, "media/a.txt"), "changed");
    const request = restoreActivity(site, ann, { backup: stored.id, source: main, restoreCode: true });
    expect(await end((await catalog.activities.create(request, ann)).activity)).toMatchObject({ result: "success" });
    expect(await readFile(join(folder, "media/a.txt"), "utf8")).toBe("alpha");
    worker.kill("SIGTERM");
    expect(await once(worker, "exit")).toEqual([0, null]);
  });

  test("takes up what was asked for while it was not there, killed ones included", async () => {
    const first = start("serve");
    await working(first);
    first.kill("SIGKILL");
    await once(first, "exit");
    const { activity } = await catalog.activities.create(backupActivity(site, ann, { safe: false }), ann);
    await working(start("serve"));
    expect(await end(activity)).toMatchObject({ result: "success" });
  });

  test("removes activities that ended longer ago than they are kept, and no others", async () => {
    const first = start("serve", "--role", "worker");
    await working(first);
    const ask = async (): Promise<Activity> =>
      (await catalog.activities.create(backupActivity(site, ann, { safe: false }), ann)).activity;
    const [old, recent] = [await end(await ask()), await end(await ask())];
    first.kill("SIGTERM");
    await once(first, "exit");
    places.sql(place, `UPDATE activities SET ended_at = ended_at - ${366 * 86_400_000} WHERE id = '${old.id}'`);
    await said(start("serve", "--role", "worker"), "Old activities were removed");
    expect(await catalog.activities.get(project, old.id)).toBeUndefined();
    expect(await catalog.activities.get(project, recent.id)).toMatchObject({ result: "success" });
    expect(await catalog.list(project)).toHaveLength(2);
  });

  test("lets one process work on a state folder whose catalog is a file, and several where it is not", async () => {
    await working(start("serve", "--role", "worker"));
    const second = start("serve", "--role", "worker");
    if (kind === "postgresql") {
      await working(second);
      return;
    }
    const { exit, err } = await ended(second);
    expect(exit).toBe(11);
    expect(err).toContain("WORKER_RUNNING");
  });
});
