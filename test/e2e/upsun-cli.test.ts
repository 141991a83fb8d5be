import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Outcome, RunningServer } from "./running-server.ts";
import { runProgram, upsunEnvironment, upsunProgram } from "./upsun.ts";

// Upsun's own CLI, unmodified, against `holdfast serve`: every command of backups, activities and environments, and project:curl.

let server: RunningServer;
let home: string;
let admin: string;
let viewer: string;
let developer: string;

beforeAll(async () => {
  server = await RunningServer.start();
  home = await mkdtemp(join(tmpdir(), "holdfast-upsun-home-"));
  await server.becomeAdministrator();
  admin = await server.machineUser("cron", ["admin"]);
  viewer = await server.machineUser("viewer", ["viewer"]);
  developer = await server.machineUser("developer", ["viewer", "staging:admin"]);
});
afterAll(async () => {
  await server.stop();
  await rm(home, { recursive: true });
});

/** One command line; the project is named in it where it has to be. */
const cli = (token: string, ...args: readonly string[]): Promise<Outcome> =>
  runProgram(upsunProgram, args, { cwd: home, env: upsunEnvironment(server.url, home, token) });

const words = (line: string): string[] => line.split(" ").filter((word) => word !== "");
const asAdmin = (line: string, ...more: readonly string[]): Promise<Outcome> => cli(admin, ...words(line), ...more);

async function done(line: string, ...more: readonly string[]): Promise<Outcome> {
  const outcome = await asAdmin(line, ...more);
  expect(outcome.exit, `${line}\n${outcome.out}${outcome.err}`).toBe(0);
  return outcome;
}

async function createBackup(line = "backup:create main -p shop -y"): Promise<string> {
  const { out } = await done(line);
  const id = /^Backup name: ([a-z2-7]{26})\n$/.exec(out)?.[1];
  if (id === undefined) throw new Error(`no backup's name in ${out}`);
  return id;
}

describe("backups", () => {
  test("an empty list is said to be one, with exit code 1", async () => {
    const { exit, out, err } = await asAdmin("backup:list -p shop -e main");
    expect([exit, out]).toEqual([1, ""]);
    expect(err).toContain("No backups found");
  });

  test("are created, safe by default, followed to their end, listed and shown", async () => {
    const { out, err } = await done("backup:create main -p shop -y");
    const [, id = ""] = /^Backup name: ([a-z2-7]{26})\n$/.exec(out) ?? [];
    expect(err).toContain("Creating a backup of main.");
    expect(err).toContain("cron created a backup of main");
    expect(err).toMatch(/The backup [a-z2-7]{26} is complete/);
    expect(err).toContain("The activity succeeded:");
    const list = await done("backup:list -p shop -e main --format csv -c created_at,id,restorable,live,safe,status");
    expect(list.out).toMatch(
      new RegExp(`^Created,"?Backup ID"?,Restorable,Live,Safe,Status\\n\\d{4}-[^,]+,${id},true,false,true,CREATED\\n$`),
    );
    const got = await done(`backup:get ${id} -p shop -e main`);
    expect(got.out).toContain(`id: ${id}\n`);
    expect((await done("backup:get -p shop -e main -P id")).out).toBe(`${id}\n`);
    expect((await asAdmin("backup:get nosuch -p shop -e main")).exit).toBe(1);
  });

  test("are taken live and without waiting, and the newest comes first", async () => {
    const live = await createBackup("backup:create main -p shop --live -y");
    expect((await done("backups -p shop -e main --format plain --no-header -c id,live")).out).toMatch(
      new RegExp(`^${live}\\s+true\\n`),
    );
    const { out } = await done("backup:create main -p shop -y --live --no-wait");
    expect(out).toMatch(/^Backup name: [a-z2-7]{26}\n$/);
    const [activity = ""] = words(
      (await done("activity:list -p shop -e main --limit 1 --format plain --no-header -c id")).out.trim(),
    );
    await done(`activity:log ${activity} -p shop`);
  });

  test("replace the oldest manual one past the count, and the activity says which", async () => {
    const oldest = await createBackup();
    await createBackup("backup:create main -p shop --live -y");
    const { err } = await done("backup:create main -p shop -y --live");
    expect(err).toContain(`replaced the older backup ${oldest} of `);
    const payload = await done("activity:get -p shop -e main -P payload");
    expect(payload.out).toContain(oldest);
    expect((await asAdmin(`backup:get ${oldest} -p shop -e main`)).exit).toBe(1);
  });

  test("are restored: the newest if none is named, data and all", async () => {
    const id = await createBackup();
    await writeFile(join(server.folder, "media/a.txt"), "changed");
    const { err } = await done("backup:restore -p shop -e main -y");
    expect(err).toContain(id);
    expect(err).toContain("The activity succeeded:");
    expect(await readFile(join(server.folder, "media/a.txt"), "utf8")).toBe("alpha");
    await writeFile(join(server.folder, "media/a.txt"), "changed again");
    await done(`backup:restore ${id} -p shop -e main -y --no-code --no-resources --resources-init minimum`);
    expect(await readFile(join(server.folder, "media/a.txt"), "utf8")).toBe("alpha");
  });

  test("are not restored to an environment that nobody declared, and the server's words are shown", async () => {
    const { exit, err } = await asAdmin("backup:restore -p shop -e main -y --target new --branch-from main");
    expect(exit).not.toBe(0);
    expect(err).toContain('There is no environment "new", and this server cannot make one from "main".');
  });

  test("are deleted", async () => {
    const id = await createBackup("backup:create main -p shop --live -y");
    const { err } = await done(`backup:delete ${id} -p shop -e main -y`);
    expect(err).toContain("The activity succeeded:");
    expect((await asAdmin(`backup:get ${id} -p shop -e main`)).exit).toBe(1);
    expect((await asAdmin("backup:delete -p shop -e main -y")).exit).toBe(1);
  });

  test("that made one can be asked for its restore, as older clients do", async () => {
    const id = await createBackup("backup:create main -p shop --live -y");
    const activity = (await done("activity:get -p shop -e main -P id")).out.trim();
    await writeFile(join(server.folder, "media/a.txt"), "changed");
    const { out } = await done(`project:curl -p shop /activities/${activity}/restore -X POST -d {}`);
    expect(out).toContain(`"backup":"${id}"`);
    await done("activity:log -p shop -e main --type environment.restore");
    expect(await readFile(join(server.folder, "media/a.txt"), "utf8")).toBe("alpha");
  });

  test("that fail are told with their reason", async () => {
    const { exit, err } = await asAdmin("backup:create staging -p shop -y");
    expect(exit).not.toBe(0);
    expect(err).toContain("staging has no gateway");
  });
});

describe("activities", () => {
  test("are listed with the clients' filters, and paged", async () => {
    const { out } = await done("activity:list -p shop -e main --format csv --limit 30 -c id,type,state,result");
    const rows = out.trim().split("\n");
    expect(rows[0]).toBe("ID,Type,State,Result");
    expect(rows.length).toBeGreaterThan(5);
    const [oldest] = (rows.at(-1) ?? "").split(",");
    await createBackup("backup:create main -p shop --live -y");
    const restores = await done(
      "activity:list -p shop -a --type environment.restore --state complete --result success --format csv -c type",
    );
    expect(new Set(restores.out.trim().split("\n").slice(1))).toEqual(new Set(["environment.restore"]));
    expect((await done("activity:list -p shop -e main --limit 30 --format plain --no-header -c id")).out).toContain(
      oldest,
    );
    expect((await asAdmin("activity:list -p shop -e main --type environment.push")).exit).toBe(1);
  });

  test("are shown, with their logs", async () => {
    const id = (await done("activity:get -p shop -e main -P id")).out.trim();
    expect((await done(`activity:get ${id} -p shop -P state`)).out).toBe("complete\n");
    expect((await done(`activity:log ${id} -p shop`)).out).toMatch(/The backup [a-z2-7]{26} is complete/);
    expect((await asAdmin("activity:get nosuch -p shop")).exit).toBe(1);
  });

  test("that have ended are not offered for cancelling", async () => {
    const { exit, err } = await asAdmin("activity:cancel -p shop -e main -y");
    expect([exit, err.includes("No cancellable activities found")]).toEqual([1, true]);
  });
});

describe("environments", () => {
  test("are listed, paused, resumed, activated and deactivated", async () => {
    expect((await done("environment:list -p shop --format csv -c id,status,type")).out.trim().split("\n")).toEqual([
      "ID,Status,Type",
      "main,Active,production",
      "dev,Inactive,development",
      "staging,Active,staging",
    ]);
    await done("environment:pause -p shop -e staging -y");
    const paused = await asAdmin("backup:create staging -p shop --live -y");
    expect([paused.exit, paused.err.includes("not active")]).toEqual([1, true]);
    await done("environment:resume -p shop -e staging -y");
    await done("environment:activate dev -p shop -y");
    expect((await done("environment:list -p shop --format csv --no-header -c status")).out).toBe(
      "Active\nActive\nActive\n",
    );
    await done("environment:delete dev -p shop -y --no-delete-branch");
    expect((await done("environment:list -p shop --format csv --no-header -c id,status --type development")).out).toBe(
      "dev,Inactive\n",
    );
  });
});

describe("environment:info", () => {
  test("shows an environment and its properties", async () => {
    expect((await done("environment:info -p shop -e main --format csv")).out).toContain("\nstatus,active\n");
    expect((await done("environment:info -p shop -e staging parent")).out).toBe("main\n");
  });

  test("changes nothing that the configuration says", async () => {
    const { exit, err } = await asAdmin("environment:info -p shop -e staging title New");
    expect([exit, err]).toEqual([
      255,
      expect.stringContaining("Only the status of an environment can be changed here, not its title."),
    ]);
    expect((await done("environment:info -p shop -e staging title")).out).toBe("staging\n");
  });
});

describe("what a platform has that deploys", () => {
  test.each([
    ["environment:redeploy -p shop -e main -y", "Operation not available"],
    ["environment:branch new main -p shop -y", "can't be branched"],
    ["environment:synchronize data -p shop -e staging -y", "ynchroni"],
    ["environment:merge staging -p shop -y", "merge"],
  ])("%s is not available", async (line, message) => {
    const { exit, out, err } = await asAdmin(line);
    expect([exit, out]).toEqual([1, ""]);
    expect(err).toContain(message);
  });

  test("is refused with what to do instead, if somebody asks for it all the same", async () => {
    const { exit, out } = await asAdmin("environment:curl -p shop -e staging /synchronize -X POST -d {}");
    expect([exit, JSON.parse(out)]).toMatchObject([22, { error: "OPERATION_UNSUPPORTED" }]);
  });
});

describe("project:curl", () => {
  const retention = async (): Promise<unknown> =>
    (JSON.parse((await done("project:curl -p shop /settings")).out) as { data_retention: { production: unknown } })
      .data_retention.production;

  test("reads and changes settings as the documentation has it", async () => {
    const before = { max_backups: 0, default_config: { manual_count: 2, schedule: [{ interval: "1d", count: 2 }] } };
    expect(await retention()).toEqual(before);
    expect(JSON.parse((await done("project:curl -p shop settings")).out)).toMatchObject({ product_code: "holdfast" });
    await done("project:curl -p shop /settings -X PATCH -d", '{"data_retention":{"production":{"max_backups":10}}}');
    expect(await retention()).toEqual({ ...before, max_backups: 10 });
    const schedule = [
      { interval: "1d", count: 7 },
      { interval: "1w", count: 4 },
      { interval: "1M", count: 12 },
    ];
    const body = JSON.stringify({ data_retention: { production: { default_config: { manual_count: 1, schedule } } } });
    await done("project:curl -p shop settings -X PATCH -d", body);
    expect(await retention()).toEqual({ max_backups: 10, default_config: { manual_count: 1, schedule } });
  });

  test("is told where a comma is too many", async () => {
    const { exit, out } = await asAdmin(
      "project:curl -p shop /settings -X PATCH -d",
      '{"data_retention":{"production":{"max_backups":9},}}',
    );
    expect([exit, out]).toEqual([22, expect.stringContaining("a comma too many at line 1, column 50.")]);
  });

  test("a manual count that was set holds from the next backup on", async () => {
    await createBackup("backup:create main -p shop --live -y");
    expect(
      (await done("backup:list -p shop -e main --format plain --no-header -c id")).out.trim().split("\n"),
    ).toHaveLength(1);
  });

  test("reaches environments, too", async () => {
    const { out } = await done("environment:curl -p shop -e main /backups");
    expect(JSON.parse(out)).toMatchObject([{ environment: "main" }]);
  });
});

describe("other users", () => {
  test("are not offered what they may not do, and are refused if they try", async () => {
    const create = await cli(viewer, ...words("backup:create main -p shop -y"));
    expect([create.exit, create.err.includes("not available")]).toEqual([1, true]);
    const curl = await cli(viewer, ...words("environment:curl -p shop -e main /backup -X POST -d {}"));
    expect([curl.exit, curl.out]).toEqual([22, expect.stringContaining('"ACCESS_DENIED"')]);
    expect((await cli(viewer, ...words("backup:list -p shop -e main"))).exit).toBe(0);
  });

  test("work where they have a role", async () => {
    const { exit, out } = await cli(developer, ...words("backup:create staging -p shop --live -y"));
    expect([exit, out]).toEqual([0, expect.stringMatching(/^Backup name: /)]);
    expect((await cli(developer, ...words("backup:create main -p shop --live -y"))).exit).toBe(1);
  });

  test("restore to no environment in which they have no role", async () => {
    const restore = await cli(developer, ...words("backup:restore -p shop -e staging --target main -y"));
    expect([restore.exit, restore.err]).toEqual([6, expect.stringContaining("You may not do this")]);
    expect((await cli(viewer, ...words("backup:restore -p shop -e main -y"))).exit).toBe(1);
  });

  test("see their projects, their colleagues and themselves", async () => {
    expect((await done("project:list --format csv")).out).toBe(
      "ID,Title,Region,Org name,Org type\nshop,The shop,local,,\n",
    );
    expect((await done("user:list -p shop --format csv -c email,role")).out).toContain("viewer@example.com,viewer\n");
    expect((await done("auth:info -P email")).out).toBe("cron@example.com\n");
  });

  test("without a token that is known are told so", async () => {
    const { exit, err } = await cli("hft_wrong", ...words("backup:list -p shop -e main"));
    expect(exit).not.toBe(0);
    expect(err).toContain("The API token is not known here.");
  });
});

test("a server that is stopped goes on where it was, and its log has no secret", async () => {
  expect(await server.stopServer()).toBe(0);
  const log = server.log();
  expect(log).toContain('"operation":"createBackup"');
  for (const token of [admin, viewer, developer]) expect(log).not.toContain(token);
  expect(log).not.toMatch(/hfa_/);
  await server.serve();
  expect((await done("backup:list -p shop -e main")).exit).toBe(0);
});
