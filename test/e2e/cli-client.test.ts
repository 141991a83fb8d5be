import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Outcome, RunningServer } from "./running-server.ts";

let server: RunningServer;
/** A folder without a configuration: another machine. */
let elsewhere: string;
let admin = "";
let viewer = "";

beforeAll(async () => {
  server = await RunningServer.start();
  await server.becomeAdministrator();
  admin = await server.machineUser("admin", ["admin"]);
  viewer = await server.machineUser("viewer", ["viewer"]);
  elsewhere = await mkdtemp(join(tmpdir(), "holdfast-elsewhere-"));
});
afterAll(async () => {
  await rm(elsewhere, { recursive: true });
  await server.stop();
});

const onState = (line: string): Promise<Outcome> => server.run(line.split(" "));
const over = (line: string, token: string, url = server.url): Promise<Outcome> =>
  server.run(line.split(" "), { cwd: elsewhere, env: { HOLDFAST_SERVER: url, HOLDFAST_TOKEN: token } });

describe("a command on a machine without a configuration", () => {
  test("works on the server that HOLDFAST_SERVER names, with the rights of HOLDFAST_TOKEN", async () => {
    const made = await server.post("/projects/shop/environments/main/backup", { safe: false });
    const { id, payload } = (made["_embedded"] as { activities: { id: string; payload: { backup_name: string } }[] })
      .activities[0] ?? { id: "", payload: { backup_name: "" } };
    const log = await over(`activity:log ${id}`, viewer);
    expect(log.out).toContain(`The backup ${payload.backup_name} is complete`);
    const got = await over(`activity:get ${id} -P state`, viewer);
    expect([got.exit, got.out]).toEqual([0, "complete\n"]);
    const list = await over("activity:list --format csv --columns id,progress,state,result,environments", viewer);
    expect(list.out).toContain(`\n${id},100%,complete,success,main\n`);
    expect((await over("activity:list --type environment.restore", viewer)).exit).toBe(1);
    expect((await over(`activity:list -x environment.backup`, viewer)).err).toContain("No activities found");
    const cancel = await over(`activity:cancel ${id} -y`, admin);
    expect([cancel.exit, cancel.err]).toEqual([1, expect.stringContaining("ACTIVITY_NOT_CANCELLABLE, exit 1")]);
  });

  test.each([
    ["without a token", "activity:list", "", 6, "SIGN_IN_REQUIRED", "Put an API token into HOLDFAST_TOKEN"],
    ["with a wrong token", "activity:list", "hft_wrong", 6, "SIGN_IN_FAILED", "The API token is not known here"],
    ["for another project", "activity:list -p blog", "viewer", 1, "PROJECT_NOT_FOUND", 'has no project "blog"'],
    ["for an unknown activity", "activity:get nonsense", "viewer", 1, "ACTIVITY_NOT_FOUND", "nonsense"],
  ])("%s is told what is wrong", async (_, line, token, exit, code, message) => {
    const outcome = await over(line, token === "viewer" ? viewer : token);
    expect([outcome.exit, outcome.out]).toEqual([exit, ""]);
    expect(outcome.err).toContain(message);
    expect(outcome.err).toContain(`[${code}, exit ${exit}]`);
  });

  test("that may not do what it asks for ends with 6", async () => {
    const made = await server.post("/projects/shop/environments/main/backup", { safe: false });
    const [activity] = (made["_embedded"] as { activities: { id: string }[] }).activities;
    const outcome = await over(`activity:cancel ${activity?.id} -y`, viewer);
    expect([outcome.exit, outcome.err]).toEqual([6, expect.stringContaining("[ACCESS_DENIED, exit 6]")]);
    await over(`activity:log ${activity?.id}`, viewer);
  });

  test("is told how to get a backup into a folder, with all that has to be typed", async () => {
    const made = await server.post("/projects/shop/environments/main/backup", { safe: false });
    const [activity] = (made["_embedded"] as { activities: { id: string; payload: { backup_name: string } }[] })
      .activities;
    await over(`activity:log ${activity?.id}`, viewer);
    const { exit, err } = await over("backup:restore --into copy -y", admin);
    expect(exit, err).toBe(1);
    expect(err).toMatch(
      /mkdir -p '\/.*\/copy' && holdfast backup:download [a-z2-7]{26} -p shop -e main -o - \| tar -x -f - -C '\/.*\/copy' /,
    );
  });

  test("sends requests of one's own with project:curl", async () => {
    const settings = await over("project:curl settings", viewer);
    expect(JSON.parse(settings.out)).toMatchObject({ product_name: "Holdfast" });
    const data = '{"data_retention":{"production":{"max_backups":7}}}';
    const set = await server.run(["project:curl", "/settings", "-X", "PATCH", "-d", data], {
      cwd: elsewhere,
      env: { HOLDFAST_SERVER: `${server.url}/`, HOLDFAST_TOKEN: admin },
    });
    expect([set.exit, JSON.parse(set.out)]).toMatchObject([
      0,
      { _embedded: { entity: { data_retention: { production: { max_backups: 7 } } } } },
    ]);
    const missing = await over("environment:curl -e main backups/none -i", viewer);
    expect([missing.exit, missing.err]).toEqual([22, "\nThe server answered 404.\n"]);
    expect(missing.out).toMatch(/^HTTP\/1\.1 404 Not Found\r\n[^]*BACKUP_NOT_FOUND/);
    expect((await over("project:curl settings -X PATCH --json {} -f", viewer)).out).toBe("");
    expect((await over("project:curl https://evil.example.com", viewer)).exit).toBe(1);
  });
});

describe("a command on the server's machine", () => {
  test("is a client of the server on its state, with all rights and without a token", async () => {
    const socket = join(server.folder, "state/server.sock");
    expect((await stat(socket)).mode & 0o777).toBe(0o600);
    expect((await stat(join(server.folder, "state"))).mode & 0o077).toBe(0);
    const [list, inCurl] = [await onState("activity:list --format csv"), await onState("project:curl")];
    expect([list.exit, list.out]).toEqual([0, expect.stringContaining("created a live backup of main")]);
    expect(JSON.parse(inCurl.out)).toMatchObject({ id: "shop" });
    expect(server.log()).toContain("/projects/shop/activities");
  });

  test("works in its own process once the server is gone, also where that was killed", async () => {
    await server.stopServer("SIGKILL");
    try {
      expect((await stat(join(server.folder, "state/server.sock"))).isSocket()).toBe(true);
      const list = await onState("activity:list --format csv --limit 1000");
      expect([list.exit, list.out]).toEqual([0, expect.stringContaining("created a live backup of main")]);
      const curl = await onState("project:curl");
      expect([curl.exit, curl.err]).toEqual([5, expect.stringContaining("[SERVER_UNREACHABLE, exit 5]")]);
    } finally {
      await server.serve();
    }
    expect((await onState("project:curl capabilities")).exit).toBe(0);
  });
});

describe("users and tokens", () => {
  test("are made, listed and taken away at the server, as in its own process", async () => {
    const ann = await onState("user:add Ann@example.com --administrator");
    expect([ann.exit, ann.out], ann.err).toEqual([
      0,
      expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/setup#hfl_[\w-]{43}\n$/),
    ]);
    const again = await onState("user:add ann@example.com");
    expect([again.exit, again.out], again.err).toEqual([0, expect.stringMatching(/\/setup#hfl_/)]);
    const cron = await onState("user:add cron@example.com --machine --role viewer --role production:admin");
    expect([cron.exit, cron.out]).toEqual([0, ""]);
    expect(cron.err).toContain("cron@example.com has in the project shop: viewer, production:admin.");
    expect((await onState("user:list --format csv --columns email,kind,permissions")).out).toContain(
      "\nann@example.com,person,administrator\ncron@example.com,machine,shop: viewer production:admin\n",
    );
    const token = (await onState("token:create cron@example.com nightly")).out.trim();
    expect(token).toMatch(/^hft_[\w-]{43}$/);
    // Its own tokens everybody sees, others' only administrators.
    const own = await over("token:list cron@example.com --format csv --columns name", token);
    expect([own.exit, own.out]).toEqual([0, "Name\nnightly\n"]);
    expect((await over("token:list ann@example.com", token)).exit).toBe(6);
    expect((await over("user:add bob@example.com", token)).err).toContain("[ACCESS_DENIED, exit 6]");
    const [listed] = JSON.parse((await onState("token:list cron@example.com --format json")).out) as { id: string }[];
    expect((await onState(`token:delete cron@example.com ${listed?.id}`)).exit).toBe(0);
    expect((await over("backup:list", token)).err).toContain("[SIGN_IN_FAILED, exit 6]");
    expect((await onState("user:delete cron@example.com -y")).exit).toBe(0);
  });

  test.each([
    ["user:add no-address", "INPUT_INVALID"],
    ["user:add bob@example.com --role owner", 'There is no role "owner"'],
    ["user:delete nobody@example.com -y", "USER_NOT_FOUND"],
    ["token:delete root@example.com nonsense", "TOKEN_NOT_FOUND"],
    ["user:add root@example.com --machine", "is a person already"],
    ["user:add bot@example.com --machine --administrator", "cannot administer"],
  ])("%s is refused as in its own process", async (line, message) => {
    const { exit, err } = await onState(line);
    expect([exit, err]).toEqual([1, expect.stringContaining(message)]);
  });
});

describe("a server that is none", () => {
  async function answering(listener: RequestListener, line: string): Promise<Outcome> {
    const other = createServer(listener);
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    try {
      return await over(line, "", `http://127.0.0.1:${(other.address() as AddressInfo).port}`);
    } finally {
      other.closeAllConnections();
      other.close();
    }
  }

  test("nothing listens: exit 5", async () => {
    const { exit, err } = await over("activity:list", admin, "http://127.0.0.1:9");
    expect([exit, err]).toEqual([5, expect.stringContaining("cannot be reached: nothing listens there")]);
  });

  test.each<[string, RequestListener, string]>([
    ["a page", (_, response) => response.end("<html>Welcome</html>"), "something else than JSON"],
    [
      "another thing's JSON",
      (_, response) => response.end('[{"name":"x"}]'),
      "does not answer as a Holdfast server: 0.id",
    ],
    [
      "a redirect",
      (_, response) => response.writeHead(302, { location: "https://x.example.com" }).end(),
      "sends elsewhere",
    ],
    [
      "half an answer",
      (_, response) => void response.writeHead(200, { "content-length": 90 }).write("[", () => response.destroy()),
      "cannot be reached: the connection was closed",
    ],
    ["a proxy's 502", (_, response) => response.writeHead(502).end("Bad gateway"), "answers 502 without saying why"],
  ])("it answers with %s: exit 5", async (_, listener, message) => {
    const { exit, out, err } = await answering(listener, "activity:list");
    expect([exit, out]).toEqual([5, ""]);
    expect(err).toContain(message);
  });

  test("its address is wrong: exit 1", async () => {
    for (const url of ["ftp://x", "backups", "https://user:pw@x.example.com", "https://x.example.com/?a=b"]) {
      const { exit, err } = await over("activity:list", admin, url);
      expect([exit, err]).toEqual([1, expect.stringContaining("is no address of a server")]);
    }
  });
});
