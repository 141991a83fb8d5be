import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster } from "../../deploy/cluster/cluster.ts";
import { runProgram, upsunEnvironment, upsunProgram } from "./upsun.ts";

// Two API servers on one PostgreSQL catalog keep nothing of their own: what one was told, the other knows.

let folder = "";
let cluster: Cluster;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-two-servers-"));
  cluster = await Cluster.start(folder);
}, 120_000);
afterAll(async () => {
  await cluster.stop();
  await rm(folder, { recursive: true });
});

type Server = "api-1" | "api-2";
const urlOf = (server: Server): string => `http://127.0.0.1:${cluster.portOf(server)}`;

const at = (server: Server, path: string, token?: string, more: RequestInit = {}): Promise<Response> =>
  fetch(urlOf(server) + path, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` }, ...more });

/** A machine user's API token, made by a command on a worker's machine. */
async function machineUser(name: string): Promise<string> {
  await cluster.command(1, "user:add", `${name}@example.com`, "--machine", "--role", "admin");
  return (await cluster.command(1, "token:create", `${name}@example.com`, "test")).trim();
}

async function signIn(server: Server, fields: Readonly<Record<string, string>>) {
  const response = await at(server, "/oauth2/token", undefined, { method: "POST", body: JSON.stringify(fields) });
  const { access_token: access = "", refresh_token: refresh = "" } = (await response.json()) as Record<string, string>;
  return { status: response.status, access, refresh };
}

test("who signs in at one is signed in at the other, until either ends it", async () => {
  const secret = await machineUser("ann");
  const { access } = await signIn("api-1", { grant_type: "api_token", api_token: secret });
  const me = (server: Server) => at(server, "/users/me", access);
  expect(await (await me("api-2")).json()).toMatchObject({ email: "ann@example.com" });
  const [token] = JSON.parse(await cluster.command(1, "token:list", "ann@example.com", "--format", "json")) as [
    { id: string },
  ];
  const removed = await at("api-2", `/users/me/api-tokens/${token.id}`, access, {
    method: "DELETE",
    headers: { authorization: `Bearer ${access}` },
  });
  expect(removed.status).toBe(204);
  expect((await me("api-1")).status).toBe(401);
  expect((await signIn("api-1", { grant_type: "api_token", api_token: secret })).status).toBe(400);
});

test("a refresh token serves once, whichever server it comes to", async () => {
  const link = /#(hfl_[\w-]+)/.exec(await cluster.command(1, "user:add", "bob@example.com", "--role", "viewer"))?.[1];
  const password = "correct horse battery staple";
  const used = await at("api-1", "/setup", undefined, { method: "POST", body: JSON.stringify({ link, password }) });
  expect(used.status).toBe(200);
  const first = await signIn("api-2", { grant_type: "password", username: "bob@example.com", password });
  const second = await signIn("api-1", { grant_type: "refresh_token", refresh_token: first.refresh });
  expect((await at("api-2", "/users/me", second.access)).status).toBe(200);
  expect((await signIn("api-2", { grant_type: "refresh_token", refresh_token: first.refresh })).status).toBe(400);
  expect((await at("api-1", "/users/me", second.access)).status).toBe(401);
});

test("what was begun at one is followed to its end at the other, by those who may", async () => {
  const cleo = await signIn("api-1", { grant_type: "api_token", api_token: await machineUser("cleo") });
  const dan = await signIn("api-1", { grant_type: "api_token", api_token: await machineUser("dan") });
  await cluster.stopMember("worker-3");
  const path = "/projects/shop/environments/dev";
  const asked = await at("api-1", `${path}/backup`, cleo.access, {
    method: "POST",
    body: '{"safe":false}',
    headers: { authorization: `Bearer ${cleo.access}` },
  });
  const { _embedded } = (await asked.json()) as { _embedded: { activities: [{ id: string }] } };
  const log = `${path}/activities/${_embedded.activities[0].id}/log`;
  // Both wait: nobody works on it yet.
  const [followed, cutOff] = await Promise.all([at("api-2", log, cleo.access), at("api-2", log, dan.access)]);
  await cluster.command(1, "user:delete", "dan@example.com", "--yes");
  expect(await cutOff.text()).toBe("");
  await cluster.startMember("worker-3");
  const text = await followed.text();
  expect(text).toMatch(/The backup [a-z2-7]{26} is complete/);
  expect(text).toMatch(/"seal":true\}\n$/);
}, 60_000);

test("Upsun's CLI works through the balancer, whichever server its requests come to", async () => {
  const token = await machineUser("eve");
  const cli = (line: string) =>
    runProgram(upsunProgram, line.split(" "), { cwd: folder, env: upsunEnvironment(cluster.url, folder, token) });
  const created = await cli("backup:create main -p shop -y");
  expect([created.exit, created.out]).toEqual([0, expect.stringMatching(/^Backup name: [a-z2-7]{26}\n$/)]);
  const restored = await cli("backup:restore -p shop -e main --target staging -y");
  expect([restored.exit, restored.err]).toEqual([0, expect.stringContaining("The activity succeeded:")]);
}, 60_000);
