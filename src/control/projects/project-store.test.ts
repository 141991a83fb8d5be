import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type EnvironmentId, type ProjectId, systemClock } from "../../base/index.ts";
import { systemActor } from "../activities/create-activity.ts";
import { type OpenCatalog, openCatalog } from "../catalog/open-catalog.ts";
import { catalogKinds, useCatalogPlaces } from "../testing/catalog-places.ts";
import type { DeclaredProject } from "./declaration.ts";

const project = "shop" as ProjectId;
const main = "main" as EnvironmentId;
const staging = "staging" as EnvironmentId;
const places = useCatalogPlaces();

const shop = (title: string, stagingTitle: string | undefined): DeclaredProject => ({
  id: project,
  title,
  environments: [
    { id: main, title: "Main", type: "production", parent: undefined, initialStatus: "active" },
    ...(stagingTitle === undefined
      ? []
      : [{ id: staging, title: stagingTitle, type: "staging", parent: main, initialStatus: "inactive" } as const]),
  ],
});
const complete = { complete: true };

describe.each(catalogKinds)("the projects in the catalog on %s", (kind) => {
  let catalog: OpenCatalog;

  beforeEach(async () => {
    catalog = await openCatalog(places.fresh(kind), { clock: systemClock });
  }, 30_000);
  afterEach(() => catalog.close());

  test("are what the configuration declares, with the statuses of the catalog", async () => {
    await catalog.projects.declare([shop("Shop", "Staging")], complete);
    await catalog.setEnvironmentStatus(project, staging, "active");
    await catalog.projects.declare([shop("The shop", "Stage")], complete);
    expect(await catalog.projects.projects()).toMatchObject([{ id: "shop", title: "The shop", declared: true }]);
    expect(await catalog.projects.environments(project)).toMatchObject([
      { id: "main", type: "production", parent: null, status: "active" },
      { id: "staging", title: "Stage", type: "staging", parent: "main", status: "active" },
    ]);
  });

  test("keep an environment that the configuration has no longer, unless others may have it", async () => {
    await catalog.projects.declare([shop("Shop", "Staging")], complete);
    await catalog.projects.declare([shop("Shop", undefined)], { complete: false });
    expect(await catalog.projects.environment(project, staging)).toMatchObject({ declared: true });
    await catalog.projects.declare([shop("Shop", undefined)], complete);
    expect(await catalog.projects.environment(project, staging)).toMatchObject({ declared: false, title: "Staging" });
  });

  test("tell beforehand what a configuration changes, and what it does not", async () => {
    const plan = (declared: DeclaredProject): Promise<unknown> => catalog.projects.planDeclare([declared], complete);
    const place = { project, environment: staging };
    expect(await plan(shop("Shop", undefined))).toEqual([
      { project, environment: undefined, kind: "added" },
      { project, environment: main, kind: "added" },
    ]);
    await catalog.projects.declare([shop("Shop", "Staging")], complete);
    expect(await plan(shop("Shop", "Staging"))).toEqual([]);
    await catalog.setEnvironmentStatus(project, staging, "paused");
    expect(await plan(shop("Shop", "Stage"))).toEqual([
      { ...place, kind: "changed", field: "title", from: "Staging", to: "Stage" },
      { ...place, kind: "kept", field: "status", is: "paused", declared: "inactive" },
    ]);
    expect(await plan(shop("Shop", undefined))).toEqual([{ ...place, kind: "gone" }]);
  });

  test("have settings, which several may change at once", async () => {
    await catalog.projects.declare([shop("Shop", undefined)], complete);
    await Promise.all(
      Array.from({ length: 10 }, () =>
        catalog.projects.changeSettings(
          project,
          (settings) => {
            const before = settings.get("count");
            return new Map([["count", (typeof before === "number" ? before : 0) + 1]]);
          },
          systemActor,
        ),
      ),
    );
    expect(await catalog.projects.settings(project)).toEqual(new Map([["count", 10]]));
    const left = await catalog.projects.changeSettings(project, () => new Map([["count", undefined]]), systemActor);
    expect([left.size, (await catalog.projects.settings(project)).size]).toEqual([0, 0]);
  });
});
