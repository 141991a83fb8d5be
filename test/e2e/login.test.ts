import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Outcome, RunningServer } from "./running-server.ts";

const password = "correct horse battery staple";

let server: RunningServer;
let home: string;

beforeAll(async () => {
  server = await RunningServer.start();
  await server.becomeAdministrator();
  home = await mkdtemp(join(tmpdir(), "holdfast-home-"));
});
afterAll(async () => {
  await rm(home, { recursive: true });
  await server.stop();
});

const run = (line: string, stdin = ""): Promise<Outcome> =>
  server.run(line.split(" "), { cwd: home, stdin, env: { HOME: home, HOLDFAST_SERVER: server.url } });
const file = (): string => join(home, ".config/holdfast/sign-ins.json");
const store = async () =>
  (JSON.parse(await readFile(file(), "utf8")) as { servers: Record<string, Record<string, string>> }).servers;

test("a person signs in with a password from standard input, which is kept nowhere", async () => {
  const before = await run("project:curl");
  expect([before.exit, before.err]).toEqual([6, expect.stringContaining(`or sign in:  holdfast login ${server.url}`)]);

  const wrong = await run("login --user root@example.com", "wrong\n");
  expect([wrong.exit, wrong.err]).toEqual([6, expect.stringContaining("[SIGN_IN_FAILED, exit 6]")]);
  expect((await run("login --user root@example.com")).exit).toBe(1);

  const { exit, out, err } = await run("login --user root@example.com", `${password}\n`);
  expect([exit, out], err).toEqual([0, ""]);
  expect(err).toContain(`Signed in to ${server.url} as root@example.com.`);
  expect((await stat(file())).mode & 0o777).toBe(0o600);
  expect((await stat(join(home, ".config/holdfast"))).mode & 0o777).toBe(0o700);
  expect(await readFile(file(), "utf8")).not.toContain(password);
  expect((await run("environment:list --format plain --no-header --columns id")).out).toBe("dev\nmain\nstaging\n");
});

test("two commands at once renew what has run out only once: a refresh token that comes twice would end the sign-in", async () => {
  const { servers, text } = { servers: await store(), text: await readFile(file(), "utf8") };
  const { accessUntil = "", refreshToken } = servers[server.url] ?? {};
  await writeFile(file(), text.replace(accessUntil, "2020-01-01T00:00:00.000Z"));
  const outcomes = await Promise.all([1, 2, 3].map(() => run("project:curl capabilities")));
  expect(
    outcomes.map(({ exit }) => exit),
    outcomes.map(({ err }) => err).join("\n"),
  ).toEqual([0, 0, 0]);
  expect((await store())[server.url]?.["refreshToken"]).not.toBe(refreshToken);
  // A token that the server does not take any more is renewed as well.
  await writeFile(
    file(),
    (await readFile(file(), "utf8")).replace(/"accessToken": "[^"]+"/, '"accessToken": "hfa_gone"'),
  );
  expect((await run("environment:list")).exit).toBe(0);
});

test("signing out ends it there and here", async () => {
  const token = (await store())[server.url]?.["accessToken"] ?? "";
  const { exit, err } = await run("logout");
  expect([exit, err]).toEqual([0, `root@example.com is signed out of ${server.url}.\n`]);
  expect(await store()).toEqual({});
  const { status } = await fetch(`${server.url}/users/me`, { headers: { authorization: `Bearer ${token}` } });
  expect(status).toBe(401);
  expect((await run("project:curl")).exit).toBe(6);
  expect((await run("logout")).err).toContain("Nobody is signed in");
});

test("a machine user signs in with an API token, and a damaged file is told", async () => {
  const token = await server.machineUser("cron", ["viewer"]);
  expect((await run("login --token", `${token}\n`)).err).toContain("as cron@example.com");
  expect((await run("backup:list")).err).toContain("No backups found");
  await writeFile(file(), "{");
  const damaged = await run("backup:list");
  expect([damaged.exit, damaged.err]).toEqual([1, expect.stringContaining("it is no JSON")]);
  expect(
    (await server.run(["login", "--token"], { env: { HOLDFAST_SERVER: server.url }, stdin: token })).err,
  ).toContain("HOME is not set");
});
