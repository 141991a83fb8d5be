import { afterEach, beforeEach, expect, test } from "vitest";
import type { EnvironmentId } from "../base/index.ts";
import { ApiUnderTest, environmentOf, linksOf, shop } from "./testing/api-under-test.ts";

let api: ApiUnderTest;
let token: string;

beforeEach(async () => {
  api = await ApiUnderTest.start();
  token = await api.tokenOf(await api.user("ann", ["admin"]));
});
afterEach(() => api.stop());

const inMain = () => ({ project: shop, environment: environmentOf("production") });

test("environments are deleted from the catalog only once the configuration and the backups have gone", async () => {
  const parameters = { project: shop, environment: "old" };
  const remove = () => api.call("deleteEnvironment", parameters, { token });
  const refused = await api.call("deleteEnvironment", inMain(), { token });
  expect([refused.status, refused.json]).toMatchObject([
    409,
    {
      error: "ENVIRONMENT_IN_USE",
      message: "The environment production is in the server's configuration, so it is not deleted.",
    },
  ]);
  expect((await remove()).status).toBe(404);
  const old = "old" as EnvironmentId;
  const environments = [
    { id: old, title: "Old", type: "staging", parent: undefined, initialStatus: "active" },
  ] as const;
  await api.catalog.projects.declare([{ id: shop, title: "Shop", environments }], { complete: false });
  await api.declareShop();
  const backup = await api.backup(old);
  expect((await remove()).json).toMatchObject({ message: expect.stringContaining("has backups") as unknown });
  await api.catalog.remove(shop, backup.id);
  expect(linksOf(await api.call("getEnvironment", parameters, { token }))).toContain("#delete");
  expect((await remove()).json).toEqual({ status: "OK", code: 200, _embedded: { activities: [] } });
  expect((await api.call("getEnvironment", parameters, { token })).status).toBe(404);
  const trail = await api.call("listProjectAuditTrail", { project: shop }, { token });
  expect((trail.json as unknown[])[0]).toMatchObject({ action: "environment.delete", environment: "old" });
});

test.each(["redeploy", "branch", "synchronize", "merge"] as const)(
  "no environment is offered to %s, and whoever tries is told what to do instead",
  async (action) => {
    const answer = await api.call(`${action}Environment`, inMain(), { token });
    expect([answer.status, answer.json]).toMatchObject([
      400,
      { error: "OPERATION_UNSUPPORTED", message: expect.stringContaining(`"${action}" is not possible`) as unknown },
    ]);
    expect((answer.json as { detail: string }).detail).not.toBe("");
    expect(linksOf(await api.call("getEnvironment", inMain(), { token }))).not.toContain(`#${action}`);
  },
);
