import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Activity, User } from "../control/index.ts";
import { ApiUnderTest, author, environmentOf, linksOf, shop } from "./testing/api-under-test.ts";

let api: ApiUnderTest;
let token: string;

beforeEach(async () => {
  api = await ApiUnderTest.start();
  token = await api.tokenOf(await api.user("ann", ["admin"]));
});
afterEach(() => api.stop());

async function activity(environment = environmentOf("production")): Promise<Activity> {
  const made = await api.catalog.activities.create(
    { project: shop, environment, type: "environment.backup", parameters: {}, payload: {}, text: "x", storage: "disk" },
    author,
  );
  return made.activity;
}

describe("an activity's log", () => {
  const limits = { inProject: 9, inStorage: 9 };
  const worker = { id: "w", place: "here", serves: () => true };
  const claimed = async () => {
    const claim = await api.catalog.queue.claim(worker, { leaseMs: 30_000, limits });
    if (claim === undefined) throw new Error("nothing to claim");
    return claim;
  };
  const lines = (text: string) =>
    text
      .split("\n")
      .flatMap((line) =>
        line === "" ? [] : [JSON.parse(line) as { _id: string; data: { message: string }; seal?: boolean }],
      );

  test("is followed while it is written, and sealed at its end", async () => {
    const { id } = await activity();
    const claim = await claimed();
    await api.catalog.queue.report(claim, { messages: ["one"] });
    const response = await fetch(`${api.server.url}/projects/shop/activities/${id}/log`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    if (reader === undefined) throw new Error("no body");
    expect(lines((await reader.read()).value ?? "")).toMatchObject([{ _id: "0", data: { message: "one\n" } }]);
    await api.catalog.queue.report(claim, { messages: ["two\n"] });
    expect(lines((await reader.read()).value ?? "")).toMatchObject([{ _id: "1", data: { message: "two\n" } }]);
    await api.catalog.queue.end(claim, { result: "success", outcome: "done" });
    expect(lines((await reader.read()).value ?? "")).toMatchObject([{ _id: "2", seal: true }]);
    expect((await reader.read()).done).toBe(true);
  });

  test("is read from any line on, as far as one wants, and is not sealed before the end", async () => {
    const { id } = await activity();
    const claim = await claimed();
    await api.catalog.queue.report(claim, { messages: ["a", "b", "c", "d"] });
    const read = async (query: string) =>
      lines((await api.call("getActivityLog", { project: shop, activity: id }, { token, query })).text).map(
        ({ _id, seal }) => `${_id}${seal === true ? "!" : ""}`,
      );
    expect(await read("?start_at=1&max_items=2&max_delay=0&stray=x")).toEqual(["1", "2"]);
    expect(await read("?start_at=2&max_items=0&max_delay=0")).toEqual(["2", "3"]);
    await api.catalog.queue.end(claim, {
      result: "failure",
      outcome: "failed",
      failure: { code: "TIMEOUT", message: "late" },
    });
    expect(await read("?start_at=3&max_delay=-1")).toEqual(["3", "4!"]);
    expect(await read("?start_at=99")).toEqual(["99!"]);
    const ended = await api.call("getActivity", { project: shop, activity: id }, { token });
    expect(ended.json).toMatchObject({
      state: "complete",
      result: "failure",
      failure_reason: "error",
      completion_percent: 100,
      payload: { failure: { code: "TIMEOUT" } },
    });
    expect(linksOf(ended)).not.toContain("#cancel");
  });

  describe("that somebody follows", () => {
    /** The lines so far, and those that come until the end. */
    async function follow(as: string, id: string) {
      const response = await fetch(`${api.server.url}/projects/shop/activities/${id}/log`, {
        headers: { authorization: `Bearer ${as}` },
      });
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      if (reader === undefined) throw new Error("no body");
      expect(lines((await reader.read()).value ?? "")).toMatchObject([{ data: { message: "one\n" } }]);
      return async (): Promise<string> => {
        let text = "";
        for (;;) {
          const { done, value = "" } = await reader.read();
          if (done) return text;
          text += value;
        }
      };
    }
    const losses: Readonly<Record<string, (user: User, tokenId: string) => Promise<void>>> = {
      user: (user) => api.catalog.access.users.delete(user.id, author),
      permission: (user) => api.catalog.access.projectAccess.remove(shop, user.id, author),
      "API token": (user, id) => api.catalog.access.apiTokens.delete(user.id, id, author),
    };

    test.each(Object.keys(losses))("is shown no more of once the %s has gone", async (what) => {
      const { id } = await activity();
      const claim = await claimed();
      await api.catalog.queue.report(claim, { messages: ["one"] });
      const bob = await api.user("bob", ["viewer"]);
      const created = await api.catalog.access.apiTokens.create(bob.id, "t", author);
      const { accessToken } = await api.catalog.access.sessions.signInWithApiToken(created.secret);
      const [gone, stays] = [await follow(accessToken, id), await follow(token, id)];
      await losses[what]?.(bob, created.id);
      await api.catalog.queue.report(claim, { messages: ["secret"] });
      expect(await gone()).toBe("");
      await api.catalog.queue.end(claim, { result: "success", outcome: "done" });
      expect(lines(await stays())).toMatchObject([{ data: { message: "secret\n" } }, { seal: true }]);
    });

    test("ends also while nothing is written", async () => {
      const { id } = await activity();
      await api.catalog.queue.report(await claimed(), { messages: ["one"] });
      const bob = await api.user("bob", ["viewer"]);
      const rest = await follow(await api.tokenOf(bob), id);
      await api.catalog.access.projectAccess.remove(shop, bob.id, author);
      expect(await rest()).toBe("");
    }, 30_000);
  });

  test("that somebody follows does not keep the server from stopping", async () => {
    const { id } = await activity();
    const response = await fetch(`${api.server.url}/projects/shop/activities/${id}/log`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const text = response.text();
    await api.server.stop();
    expect(await text).toBe("");
  });
});

test("an activity that made a backup offers its restore, as long as the backup is there", async () => {
  const main = environmentOf("production");
  const restore = (id: string, body: unknown = {}) =>
    api.call("restoreActivity", { project: shop, activity: id }, { token, body });
  const { id } = await activity();
  expect((await restore(id)).json).toMatchObject({ error: "BACKUP_NOT_FOUND" });
  const backup = await api.backup(main);
  await api.complete(id, { backup_name: backup.id });
  const links = async () => linksOf(await api.call("getActivity", { project: shop, activity: id }, { token }));
  expect(await links()).toContain("#restore");
  const answer = await restore(id, { environment_name: "staging" });
  expect(answer.json).toMatchObject({
    _embedded: { activities: [{ type: "environment.restore", parameters: { backup: backup.id } }] },
  });
  const listed = await api.call("listEnvironmentActivities", { project: shop, environment: main }, { token });
  expect((listed.json as { _links: object }[]).map((one) => "#restore" in one._links)).toEqual([true]);
  await api.catalog.remove(shop, backup.id);
  expect(await links()).not.toContain("#restore");
  expect((await restore(id)).json).toMatchObject({ error: "BACKUP_NOT_FOUND", code: 404 });
});

describe("activities", () => {
  test("are cancelled while they run, and cannot be afterwards", async () => {
    const { id } = await activity();
    const cancel = () => api.call("cancelActivity", { project: shop, activity: id }, { token });
    expect((await cancel()).json).toMatchObject({
      _embedded: { activities: [{ state: "cancelled", completion_percent: 100 }] },
    });
    const again = await cancel();
    expect(again.status).toBe(400);
    expect((again.json as { message: string }).message).toContain("cannot be cancelled in its current state");
  });

  test("are found by type, state, result and time, as both clients write a query", async () => {
    const { id } = await activity();
    await api.catalog.activities.cancel(shop, id, author);
    const second = await activity(environmentOf("staging"));
    const list = async (query: string) =>
      ((await api.call("listActivities", { project: shop }, { token, query })).json as { id: string }[]).map(
        (one) => one.id,
      );
    expect(await list("?state=pending&state=in_progress")).toEqual([second.id]);
    expect(await list("?state%5B0%5D=cancelled&type[]=environment.backup")).toEqual([id]);
    expect(await list("?state=scheduled")).toEqual([]);
    expect(await list("?type=environment.push")).toEqual([]);
    expect(await list("?starts_at=2100-01-01T00:00:00.000000+00:00&count=1")).toEqual([second.id]);
    expect((await api.call("listActivities", { project: shop }, { token, query: "?count=0" })).status).toBe(400);
  });
});
