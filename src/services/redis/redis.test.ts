import { afterAll, beforeAll } from "vitest";
import type { SourceId } from "../../base/index.ts";
import { type ComponentUnderTest, describeComponent } from "../../component/conformance/index.ts";
import { redisAddress, type RedisConfig } from "./redis-config.ts";
import { RedisConnection } from "./redis-connection.ts";
import { readSetting, usedDatabases } from "./redis-server-facts.ts";
import { RedisSource } from "./redis-source.ts";
import { RedisTarget } from "./redis-target.ts";
import { type RedisTestServer, startRedis } from "./redis-test-server.ts";
import { replyText, type RespReply } from "./resp-parser.ts";

const id = "service:cache" as SourceId;
let server: RedisTestServer;
beforeAll(async () => {
  server = await startRedis({ password: "it's s3cret" });
});
afterAll(() => server.stop());

describeComponent("Redis", () => redisUnderTest({ type: "redis", url: server.url }));

const library = (n: number): string =>
  `#!lua name=shop\nredis.register_function('answer', function() return ${n} end)\n`;

async function redisUnderTest(config: RedisConfig): Promise<ComponentUnderTest> {
  const client = await RedisConnection.open(redisAddress(config));
  await client.call(["FLUSHALL"]);
  const call = (...args: string[]): Promise<RespReply> => client.call(args);
  return {
    atomicFreeze: true,
    source: () => new RedisSource(id, config),
    target: () => new RedisTarget(id, config),
    mutate: async (n) => {
      await call("SELECT", "0");
      await call("SET", "plain", `value ${n}`);
      await call("SET", `number:${n}`, String(n * 1000));
      await call("SET", "binary", `\u0000\r\n${"x".repeat(3000)}`);
      await call("SET", "soon", String(n), "EXAT", String(4_000_000_000 + n));
      await call("HSET", "hash", "a", String(n), "b", "2");
      await call(
        "HSET",
        "wide",
        ...Array.from({ length: 600 }, (_, at) => [`field ${(at * 7919) % 600}`, `${n}`]).flat(),
      );
      await call("SADD", "numbers", "1", "2", String(n));
      await call("SADD", "words", ...Array.from({ length: 300 }, (_, at) => `word ${at}`));
      await call("ZADD", "ranks", "1.5", "one", String(n), "n");
      await call("ZADD", "many", ...Array.from({ length: 300 }, (_, at) => [String(at / 3), `member ${at}`]).flat());
      await call("RPUSH", "list", ...Array.from({ length: 50 }, (_, at) => `item ${at} of ${n} ${"y".repeat(200)}`));
      await call("XADD", "stream", "*", "n", String(n));
      await client.send(["XGROUP", "CREATE", "stream", "workers", "0"]);
      await call("XREADGROUP", "GROUP", "workers", "me", "COUNT", "1", "STREAMS", "stream", ">");
      await call("FUNCTION", "LOAD", "REPLACE", library(n));
      await call("SELECT", "3");
      await call("SET", "third", String(n));
      await call("DEL", "gone");
    },
    liveState: async () => {
      const lines: string[] = [JSON.stringify(plain(await call("FUNCTION", "LIST", "WITHCODE")))];
      for (const database of await usedDatabases(client)) {
        await call("SELECT", String(database));
        const start = lines.length;
        const keys = (await call("KEYS", "*")) as Buffer[];
        for (const key of keys
          .map(String)
          .filter((name) => !name.startsWith("load:"))
          .sort()) {
          // The place of a staged restore is not the application's.
          if (key.startsWith("holdfast:")) {
            lines.splice(start);
            break;
          }
          lines.push(`${database} ${key} ${await digest(client, key)} ${replyText(await call("PEXPIRETIME", key))}`);
        }
      }
      return lines.join("\n");
    },
    startLoad: async () => {
      const writer = await RedisConnection.open(redisAddress(config));
      let acknowledged = 0;
      const stop = new AbortController();
      const run = (async (): Promise<void> => {
        while (!stop.signal.aborted) {
          await writer.call(["SET", `load:${acknowledged + 1}`, "x"]);
          acknowledged += 1;
        }
      })();
      return {
        acknowledged: () => acknowledged,
        stop: async () => {
          stop.abort();
          await run;
          writer.close();
        },
      };
    },
    loadRecords: async () => {
      await call("SELECT", "0");
      const keys = (await call("KEYS", "load:*")) as Buffer[];
      return keys.map((key) => Number(String(key).slice(5))).sort((a, b) => a - b);
    },
    destroyData: async () => {
      await call("FLUSHALL");
      await call("FUNCTION", "FLUSH");
      await call("SELECT", "5");
      await call("SET", "wrong", "data");
    },
    leftovers: async () => {
      const found: string[] = [];
      for (const database of await usedDatabases(client)) {
        if (![0, 3].includes(database)) found.push(`database ${database}`);
        await call("SELECT", String(database));
        for (const key of (await call("KEYS", "holdfast:*")) as Buffer[]) found.push(`${database}: ${String(key)}`);
      }
      if ((await readSetting(client, "repl-diskless-sync-delay")) !== "5") found.push("repl-diskless-sync-delay");
      const clients = replyText(await call("CLIENT", "LIST"))
        .trim()
        .split("\n");
      if (clients.length > 1) found.push(...clients);
      return found;
    },
    dispose: async () => {
      await call("FLUSHALL");
      await call("FUNCTION", "FLUSH");
      client.close();
    },
  };
}

async function digest(client: RedisConnection, key: string): Promise<string> {
  const type = replyText(await client.call(["TYPE", key]));
  const reads: Record<string, string[]> = {
    string: ["GET", key],
    hash: ["HGETALL", key],
    set: ["SMEMBERS", key],
    zset: ["ZRANGE", key, "0", "-1", "WITHSCORES"],
    list: ["LRANGE", key, "0", "-1"],
    stream: ["XRANGE", key, "-", "+"],
  };
  const value = plain(await client.call(reads[type] ?? ["DUMP", key]));
  const pairs =
    Array.isArray(value) && type === "hash"
      ? value.flatMap((field, at) => (at % 2 === 0 ? [`${field}=${value[at + 1]}`] : []))
      : value;
  const ordered = Array.isArray(pairs) && (type === "set" || type === "hash") ? pairs.map(String).sort() : pairs;
  const groups = type === "stream" ? plain(await client.call(["XINFO", "GROUPS", key])) : "";
  return `${type} ${JSON.stringify(ordered)} ${JSON.stringify(groups)}`;
}

function plain(reply: RespReply): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString("latin1");
  return Array.isArray(reply) ? reply.map(plain) : reply;
}
