import { HoldfastError } from "../../base/index.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { replyText, RespError } from "./resp-parser.ts";

/** INFO as a map; `section` as in the manual, "everything" is not asked for. */
export async function readInfo(
  connection: RedisConnection,
  section: string,
  timeoutMs?: number,
): Promise<ReadonlyMap<string, string>> {
  const text = replyText(await connection.call(["INFO", section], timeoutMs));
  const info = new Map<string, string>();
  for (const line of text.split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon > 0 && !line.startsWith("#")) info.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return info;
}

export interface RedisServer {
  readonly version: string;
  readonly major: number;
  readonly isReplica: boolean;
  /** True unless it is Redis of a version without FUNCTION. */
  readonly hasFunctions: boolean;
}

/** @throws HoldfastError SERVICE_UNSUPPORTED for Redis before 5, clusters and sentinels */
export async function inspectServer(connection: RedisConnection): Promise<RedisServer> {
  const server = await readInfo(connection, "server");
  const replication = await readInfo(connection, "replication");
  const cluster = await readInfo(connection, "cluster");
  const version = server.get("valkey_version") ?? server.get("redis_version") ?? "0";
  const compatible = Number((server.get("redis_version") ?? "0").split(".")[0]);
  const { label } = connection.address;
  if (compatible < 5) {
    throw new HoldfastError(
      "SERVICE_UNSUPPORTED",
      `Redis at ${label} is of version ${version}; 5.0 is the oldest supported.`,
      {
        facts: { version },
        remedy: "Upgrade the server.",
      },
    );
  }
  if (cluster.get("cluster_enabled") === "1" || (server.get("redis_mode") ?? "standalone") !== "standalone") {
    throw new HoldfastError(
      "SERVICE_UNSUPPORTED",
      `Redis at ${label} runs as ${server.get("redis_mode") ?? "cluster"}; one server on its own is supported.`,
      {
        facts: { server: label, mode: server.get("redis_mode") ?? "cluster" },
        remedy: "Name a stand-alone server, or the data server itself in place of a sentinel.",
      },
    );
  }
  return { version, major: compatible, isReplica: replication.get("role") === "slave", hasFunctions: compatible >= 7 };
}

/** Logical databases that hold keys, ascending. */
export async function usedDatabases(connection: RedisConnection): Promise<number[]> {
  const keyspace = await readInfo(connection, "keyspace");
  const used = [...keyspace.keys()].filter((name) => /^db\d+$/.test(name)).map((name) => Number(name.slice(2)));
  return used.sort((a, b) => a - b);
}

/** The value of a setting, or undefined where CONFIG is not permitted or the setting unknown. */
export async function readSetting(connection: RedisConnection, name: string): Promise<string | undefined> {
  const reply = await connection.send(["CONFIG", "GET", name]);
  if (reply instanceof RespError || !Array.isArray(reply) || reply.length < 2) return undefined;
  return replyText(reply[1]);
}

/** How many logical databases the server has; asked by SELECT where CONFIG is not permitted (then at most 64). */
export async function databaseCount(connection: RedisConnection): Promise<number> {
  const setting = await readSetting(connection, "databases");
  if (setting !== undefined) return Number(setting);
  let count = 0;
  while (count < 64 && !((await connection.send(["SELECT", String(count)])) instanceof RespError)) count += 1;
  await connection.call(["SELECT", "0"]);
  return count;
}
