import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { takeBackup } from "../../component/conformance/index.ts";
import { crashEverywhere, crashId, type CrashSubject } from "../conformance/crash-everywhere.ts";
import { redisAddress, type RedisConfig } from "./redis-config.ts";
import { RedisConnection } from "./redis-connection.ts";
import { usedDatabases } from "./redis-server-facts.ts";
import { RedisSource } from "./redis-source.ts";
import { RedisTarget } from "./redis-target.ts";
import { type RedisTestServer, startRedis } from "./redis-test-server.ts";
import { replyText } from "./resp-parser.ts";

let server: RedisTestServer;
let client: RedisConnection;
let folder: string;
beforeEach(async () => {
  server = await startRedis();
  client = await RedisConnection.open(redisAddress({ type: "redis", url: server.url }));
  folder = await mkdtemp(join(tmpdir(), "holdfast-redis-crash-"));
});
afterEach(async () => {
  client.close();
  await server.stop();
  await rm(folder, { recursive: true });
});

const library = (which: string): string =>
  `#!lua name=shop\nredis.register_function('which', function() return '${which}' end)`;

/** Two databases, of which one is in either state only, and a function. */
async function fill(which: "wanted" | "before"): Promise<void> {
  await client.call(["FLUSHALL"]);
  await client.call(["FUNCTION", "LOAD", "REPLACE", library(which)]);
  await client.call(["SELECT", "0"]);
  await client.call(["MSET", "state", which, "same", "1", `only-${which}`, "1"]);
  await client.call(["SELECT", which === "wanted" ? "1" : "2"]);
  await client.call(["RPUSH", "list", which, which]);
  await client.call(["SELECT", "0"]);
}

/** What clients see in the databases that either state uses; what is staged is in others. */
async function liveState(): Promise<string> {
  const state: string[] = [replyText(await client.call(["FCALL", "which", "0"]))];
  for (const database of ["0", "1", "2"]) {
    await client.call(["SELECT", database]);
    for (const key of ["state", "same", "only-wanted", "only-before"])
      state.push(`${database} ${key} ${JSON.stringify(await client.call(["GET", key]), text)}`);
    state.push(`${database} list ${JSON.stringify(await client.call(["LRANGE", "list", "0", "-1"]), text)}`);
  }
  await client.call(["SELECT", "0"]);
  return state.join("\n");
}

const text = (_name: string, value: unknown): unknown => (value instanceof Uint8Array ? String(value) : value);

async function leftovers(): Promise<string[]> {
  const mine = new Set([0, 1, 2]);
  const found = [...(await usedDatabases(client))].filter((database) => !mine.has(database)).map(String);
  for (const database of mine) {
    await client.call(["SELECT", String(database)]);
    found.push(...(JSON.stringify(await client.call(["KEYS", "holdfast:*"]), text).match(/holdfast:[^"]*/g) ?? []));
  }
  await client.call(["SELECT", "0"]);
  return found;
}

async function subject(): Promise<CrashSubject> {
  const config: RedisConfig = { type: "redis", url: server.url };
  await fill("wanted");
  const backup = await takeBackup(new RedisSource(crashId, config));
  await fill("before");
  return {
    config,
    backup,
    folder,
    every: 3,
    target: () => new RedisTarget(crashId, config),
    liveState,
    leftovers,
    reset: () => fill("before"),
  };
}

describe("a restore of Redis whose process is killed with -9", { timeout: 600_000 }, () => {
  it.each([
    ["stage", 6],
    ["swap", 2],
    ["revert", 2],
    ["settle", 1],
  ] as const)("at any point of %s is old or new", async (step, least) => {
    expect(await crashEverywhere(await subject(), step)).toBeGreaterThanOrEqual(least);
  });
});
