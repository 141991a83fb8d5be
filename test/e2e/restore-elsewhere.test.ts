import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  type PostgresqlServer,
  type RedisTestServer,
  startMariadb,
  startPostgresql,
  startRedis,
  type TestMariadb,
} from "../../src/services/conformance/index.ts";
import { RunningServer } from "./running-server.ts";
import { runProgram, upsunEnvironment, upsunProgram } from "./upsun.ts";

// Production's backup comes to staging: the API, the worker of `holdfast serve`, real databases, and Upsun's own CLI.

const names = ["main", "staging"] as const;
type Name = (typeof names)[number];

let postgresql: PostgresqlServer;
let mariadb: TestMariadb;
const redis = new Map<Name, RedisTestServer>();
let server: RunningServer;
let home = "";
let token = "";

beforeAll(async () => {
  [postgresql, mariadb] = await Promise.all([startPostgresql(), startMariadb()]);
  for (const name of names) redis.set(name, await startRedis());
  for (const name of names) {
    postgresql.sql("postgres", `CREATE DATABASE ${name}`);
    await mariadb.sql(`CREATE DATABASE ${name}`);
  }
  server = await RunningServer.start(configuration);
  for (const name of names) {
    for (const kind of ["code", "files"]) await mkdir(join(server.folder, `${name}-${kind}`));
    postgresql.sql(name, "CREATE TABLE thing (name text)");
    await mariadb.sql(`CREATE TABLE ${name}.purchase (name TEXT)`);
  }
  await server.becomeAdministrator();
  token = await server.machineUser("ann", ["production:admin", "staging:admin"]);
  home = await mkdtemp(join(tmpdir(), "holdfast-upsun-home-"));
}, 120_000);
afterAll(async () => {
  await server.stop();
  await Promise.all([postgresql.stop(), mariadb.stop(), ...[...redis.values()].map((one) => one.stop())]);
  await rm(home, { recursive: true });
});

const file = (name: Name, kind: "code" | "files"): string => join(server.folder, `${name}-${kind}/a.txt`);

/** Sets the key, if there is a value, and returns what it has. */
async function redisKey(name: Name, value?: string): Promise<string | null> {
  const client = createClient({ url: redis.get(name)?.url ?? "" });
  await client.connect();
  try {
    if (value !== undefined) await client.set("key", value);
    return await client.get("key");
  } finally {
    client.destroy();
  }
}

async function put(name: Name, value: string): Promise<void> {
  postgresql.sql(name, `DELETE FROM thing; INSERT INTO thing VALUES ('${value}')`);
  await mariadb.sql(`DELETE FROM ${name}.purchase`, `INSERT INTO ${name}.purchase VALUES ('${value}')`);
  await redisKey(name, value);
  for (const kind of ["code", "files"] as const) await writeFile(file(name, kind), value);
}

const state = async (name: Name) => ({
  postgresql: postgresql.sql(name, "SELECT name FROM thing").trim(),
  mariadb: (await mariadb.sql(`SELECT name FROM ${name}.purchase`)).flat().join(),
  redis: await redisKey(name),
  files: await readFile(file(name, "files"), "utf8"),
  code: await readFile(file(name, "code"), "utf8"),
});
const all = (value: string) => ({ postgresql: value, mariadb: value, redis: value, files: value, code: value });

const cli = async (line: string) => {
  const outcome = await runProgram(upsunProgram, line.split(" "), {
    cwd: home,
    env: upsunEnvironment(server.url, home, token),
  });
  expect(outcome.exit, `${line}\n${outcome.err}`).toBe(0);
  return outcome;
};

let backup = "";
beforeEach(async () => {
  await put("main", "at the backup");
  const { out } = await cli("backup:create main -p shop -y");
  backup = out.replace(/^Backup name: /, "").trim();
  await put("main", "later");
  await put("staging", "of staging");
}, 60_000);

test("backup:restore --target brings all of a backup to another environment, and leaves its own alone", async () => {
  const { err } = await cli(`backup:restore ${backup} -p shop -e main --target staging -y`);
  expect(err).toContain("The activity succeeded:");
  expect(await state("staging")).toEqual(all("at the backup"));
  expect(await state("main")).toEqual(all("later"));
  const listed = await cli("activity:list -p shop -e staging --type environment.restore --format csv -c type,result");
  expect(listed.out).toBe("Type,Result\nenvironment.restore,success\n");
}, 60_000);

test("over the API likewise, without the code if that is asked for", async () => {
  const answer = await server.post(`/projects/shop/environments/main/backups/${backup}/restore`, {
    environment_name: "staging",
    restore_code: false,
  });
  const { activities } = answer["_embedded"] as { activities: { id: string; environments: string[] }[] };
  expect(activities.map(({ environments }) => environments)).toEqual([["staging"]]);
  await cli(`activity:log ${activities[0]?.id} -p shop`);
  expect(await state("staging")).toEqual({ ...all("at the backup"), code: "of staging" });
  expect(await state("main")).toEqual(all("later"));
}, 60_000);

test("one that fails leaves the other environment as it was", async () => {
  const data = join(server.folder, "repository/data");
  const packs = (await readdir(data, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  for (const pack of packs) await rename(pack, `${pack}.lost`);
  try {
    const { exit, err } = await runProgram(
      upsunProgram,
      `backup:restore ${backup} -p shop -e main --target staging -y`.split(" "),
      { cwd: home, env: upsunEnvironment(server.url, home, token) },
    );
    expect([exit, err]).toEqual([1, expect.stringContaining("The activity failed")]);
  } finally {
    for (const pack of packs) await rename(`${pack}.lost`, pack);
  }
  expect(await state("staging")).toEqual(all("of staging"));
  expect(await state("main")).toEqual(all("later"));
}, 60_000);

const configuration = (upstream: number): string => `version: 1
state: ./state
server: { listen: 127.0.0.1:0 }
projects:
  shop:
    repository:
      passwordFile: ./repository.key
      replicas: [{ name: disk, type: local, path: ./repository }]
    environments:
${names
  .map(
    (name) => `      ${name}:
        type: ${name === "main" ? "production" : "staging"}
${name === "main" ? `        gateway: { type: builtin, listen: 127.0.0.1:0, upstream: "http://127.0.0.1:${upstream}" }\n` : ""}\
        applications: { app: { code: ./${name}-code, mounts: { files: ./${name}-files } } }
        services:
          db: { type: postgresql, url: "${postgresql.url(name)}" }
          orders: { type: mariadb, url: "${mariadb.url(name)}" }
          cache: { type: redis, url: "${redis.get(name)?.url}" }`,
  )
  .join("\n")}
`;
