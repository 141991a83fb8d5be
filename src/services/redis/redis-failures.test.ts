import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { SourceId } from "../../base/index.ts";
import { makeTestContext, type MemoryBackup, restorable, takeBackup } from "../../component/conformance/index.ts";
import { type RedisConfig, redisAddress } from "./redis-config.ts";
import { RedisConnection } from "./redis-connection.ts";
import { readInfo, readSetting } from "./redis-server-facts.ts";
import { RedisSource } from "./redis-source.ts";
import { RedisTarget } from "./redis-target.ts";
import { type RedisTestServer, type RedisTestServerOptions, startRedis } from "./redis-test-server.ts";
import { replyText } from "./resp-parser.ts";

const id = "service:cache" as SourceId;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function server(options: RedisTestServerOptions = {}): Promise<RedisTestServer> {
  const started = await startRedis(options);
  cleanups.push(() => started.stop());
  return started;
}

async function connect(url: string): Promise<RedisConnection> {
  const client = await RedisConnection.open(redisAddress({ type: "redis", url }));
  cleanups.push(() => client.close());
  return client;
}

const configOf = (url: string, exec?: string[]): RedisConfig => ({
  type: "redis",
  url,
  ...(exec === undefined ? {} : { exec }),
});

async function restore(url: string, backup: MemoryBackup): Promise<readonly string[]> {
  await using context = await makeTestContext({ contents: backup.contents });
  const target = new RedisTarget(id, configOf(url));
  try {
    await target.stage(context, restorable(backup));
    await target.swap(context, 5000);
    await target.settle(context);
  } catch (error) {
    await target.revert(context);
    throw error;
  }
  return context.warnings.map((warning) => warning.kind);
}

describe("a Redis source", () => {
  it("says that nothing listens, that the password is wrong, that a right is missing", async () => {
    await using context = await makeTestContext();
    const gone = new RedisSource(id, configOf("redis://127.0.0.1:1"));
    await expect(gone.prepare(context)).rejects.toMatchObject({ code: "SERVICE_UNREACHABLE" });

    const { url, port } = await server({ password: "right" });
    for (const wrong of [`redis://:wr%40ng@127.0.0.1:${port}`, `redis://127.0.0.1:${port}`]) {
      const error: unknown = await new RedisSource(id, configOf(wrong))
        .prepare(context)
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "SERVICE_LOGIN_FAILED" });
      expect(JSON.stringify(error) + String(error)).not.toContain("wr@ng");
    }
    const client = await connect(url);
    await client.call(["ACL", "SETUSER", "backup", "on", ">pw", "allkeys", "+@all", "-psync"]);
    const denied = new RedisSource(id, configOf(`redis://backup:pw@127.0.0.1:${port}`));
    await expect(denied.prepare(context)).rejects.toMatchObject({ code: "SERVICE_PERMISSION_MISSING" });
    await denied.dispose();
  });

  it("does not take a save that runs already for its own", async () => {
    const { url } = await server({ args: ["--enable-debug-command", "yes"] });
    const client = await connect(url);
    await client.call(["DEBUG", "POPULATE", "2000"]);
    // Each key of the child's save takes 0.5 ms: it is under way for a second.
    const source = new RedisSource(id, configOf(url));
    const backup = await takeBackup(source, {
      afterPrepare: async () => {
        await client.call(["CONFIG", "SET", "rdb-key-save-delay", "500"]);
        await client.call(["BGSAVE"]);
        await client.call(["CONFIG", "SET", "rdb-key-save-delay", "0"]);
        await client.call(["SET", "after-the-save-began", "1"]);
        expect((await readInfo(client, "persistence")).get("rdb_bgsave_in_progress")).toBe("1");
      },
    });
    expect(backup.description.counts["keys:db0"]).toBe(2001);
  });

  it("gives up at its deadline while a save runs, and the next process puts the settings back", async () => {
    const { url } = await server({ args: ["--enable-debug-command", "yes", "--rdb-key-save-delay", "2000"] });
    const client = await connect(url);
    await client.call(["DEBUG", "POPULATE", "3000"]);
    await using context = await makeTestContext();
    const source = new RedisSource(id, configOf(url));
    await source.prepare(context);
    expect(await readSetting(client, "repl-diskless-sync-delay")).toBe("0");
    await client.call(["BGSAVE"]);
    await expect(source.freeze(300)).rejects.toMatchObject({ code: "FREEZE_FAILED" });
    await new RedisSource(id, configOf(url)).recover(context);
    expect(await readSetting(client, "repl-diskless-sync-delay")).toBe("5");
    await source.dispose();
  });

  it("is disposed of without an error when the server has died before the freeze", async () => {
    const started = await server();
    await using context = await makeTestContext();
    const source = new RedisSource(id, configOf(started.url));
    await source.prepare(context);
    await started.stop();
    await expect(source.freeze(1000)).rejects.toMatchObject({ code: "SERVICE_UNREACHABLE" });
    await source.dispose();
    expect(context.warnings.map((warning) => warning.kind)).toEqual(["redis-settings-changed"]);
  });

  it("fails when the server dies while it sends", async () => {
    const started = await server({ args: ["--enable-debug-command", "yes", "--rdb-key-save-delay", "1000"] });
    const client = await connect(started.url);
    await client.call(["DEBUG", "POPULATE", "5000"]);
    const source = new RedisSource(id, configOf(started.url));
    const backup = takeBackup(source, { afterFreeze: () => started.stop() });
    await expect(backup).rejects.toMatchObject({ code: "SERVICE_UNREACHABLE" });
  });

  it.each([[["env", "-i", "PATH=/usr/bin:/bin"]], [["sh", "-c", 'exec "$@"', "sh"]]])(
    "works under the prefix %j",
    async (exec) => {
      const { url } = await server({ password: "secret" });
      const client = await connect(url);
      await client.call(["SET", "a", "1"]);
      const backup = await takeBackup(new RedisSource(id, configOf(url, exec)));
      expect(backup.description.counts).toMatchObject({ "keys:db0": 1 });
      const unreachable = new RedisSource(id, configOf("redis://127.0.0.1:1", exec));
      await using context = await makeTestContext();
      await expect(unreachable.prepare(context)).rejects.toMatchObject({ code: "SERVICE_UNREACHABLE" });
    },
  );

  it("yields a file that Redis itself loads, with every kind of value", async () => {
    const { url } = await server();
    const client = await connect(url);
    await client.call(["SET", "compressed", "z".repeat(5000)]);
    await client.call(["SET", "z".repeat(100), "a compressed key"]);
    await client.call(["SET", "12345", "a key as a number", "EX", "5000"]);
    await client.call(["SADD", "set", ...Array.from({ length: 700 }, (_, at) => `member ${at}`)]);
    await client.call([
      "HSET",
      "hash",
      ...Array.from({ length: 700 }, (_, at) => [`field ${at}`, `value ${at}`]).flat(),
    ]);
    await client.call(["XADD", "stream", "1-1", "a", "b"]);
    await client.call(["PFADD", "log", "a", "b"]);
    const backup = await takeBackup(new RedisSource(id, configOf(url)));
    const directory = await mkdtemp(join(tmpdir(), "holdfast-rdb-"));
    cleanups.push(() => rm(directory, { recursive: true }));
    const content = backup.entries.at(-1)?.content;
    if (content === undefined) throw new Error("no dump");
    const parts: Uint8Array[] = [];
    for await (const chunk of backup.contents.read(content)) parts.push(chunk);
    await writeFile(join(directory, "dump.rdb"), Buffer.concat(parts));
    const loaded = await server({ args: ["--dir", directory] });
    for (const key of ["compressed", "z".repeat(100), "12345", "stream", "log"]) {
      expect(await (await connect(loaded.url)).call(["DUMP", key])).toEqual(await client.call(["DUMP", key]));
    }
    expect(await (await connect(loaded.url)).call(["DBSIZE"])).toBe(7);
  });
});

describe("a Redis target", () => {
  async function small(): Promise<MemoryBackup> {
    const { url } = await server();
    await (await connect(url)).call(["MSET", "a", "1", "b", "2"]);
    return takeBackup(new RedisSource(id, configOf(url)));
  }

  it("refuses a server with too few databases and changes nothing", async () => {
    const backup = await small();
    const { url } = await server({ args: ["--databases", "1"] });
    const client = await connect(url);
    await client.call(["SET", "live", "1"]);
    await expect(restore(url, backup)).rejects.toMatchObject({ code: "SERVICE_UNSUPPORTED" });
    expect(await client.call(["DBSIZE"])).toBe(1);
  });

  it("refuses a server without memory for both, before anything is evicted", async () => {
    const source = await server({ args: ["--enable-debug-command", "yes"] });
    await (await connect(source.url)).call(["DEBUG", "POPULATE", "20000", "key", "500"]);
    const backup = await takeBackup(new RedisSource(id, configOf(source.url)));
    const { url } = await server({
      args: ["--enable-debug-command", "yes", "--maxmemory", "12mb", "--maxmemory-policy", "allkeys-lru"],
    });
    const client = await connect(url);
    await client.call(["DEBUG", "POPULATE", "5000", "live", "500"]);
    await expect(restore(url, backup)).rejects.toMatchObject({ code: "SERVICE_STAGE_FAILED" });
    // A backup that does not say what it needs is watched while it loads.
    const silent = { ...backup, description: { ...backup.description, facts: {} } };
    await expect(restore(url, silent)).rejects.toMatchObject({ code: "SERVICE_STAGE_FAILED" });
    expect(await client.call(["DBSIZE"])).toBe(5000);
    expect((await readInfo(client, "stats")).get("evicted_keys")).toBe("0");
  });

  it("refuses a replica; the master's replica and append-only file follow a restore", async () => {
    const backup = await small();
    const master = await server({ appendonly: true });
    const client = await connect(master.url);
    await client.call(["SET", "live", "1"]);
    const follower = await server({ args: ["--replicaof", "127.0.0.1", String(master.port)] });
    const replica = await connect(follower.url);
    const inStep = async (): Promise<unknown> =>
      replica.send(["KEYS", "*"]).then((keys) => (Array.isArray(keys) ? keys.map(replyText).sort().join() : ""));
    await expect.poll(inStep, { timeout: 20_000 }).toBe("live");
    await expect(restore(follower.url, backup)).rejects.toMatchObject({ code: "SERVICE_UNSUPPORTED" });
    await restore(master.url, backup);
    await expect.poll(inStep, { timeout: 5000 }).toBe("a,b");
    const copy = await mkdtemp(join(tmpdir(), "holdfast-aof-"));
    cleanups.push(() => rm(copy, { recursive: true }));
    await cp(master.directory, copy, { recursive: true });
    const again = await connect((await server({ appendonly: true, args: ["--dir", copy] })).url);
    expect(await again.call(["MGET", "a", "b", "live"])).toEqual([Buffer.from("1"), Buffer.from("2"), null]);
    expect((await readInfo(again, "keyspace")).size).toBe(1);
  });

  it("does not take a spare database that somebody began to use, and says so at the swap", async () => {
    const backup = await small();
    const { url } = await server();
    const client = await connect(url);
    await client.call(["SET", "live", "1"]);
    await using context = await makeTestContext({ contents: backup.contents });
    const target = new RedisTarget(id, configOf(url));
    await target.stage(context, restorable(backup));
    await client.call(["SELECT", "15"]);
    await client.call(["SET", "intruder", "1"]);
    await expect(target.swap(context, 5000)).rejects.toMatchObject({ code: "SERVICE_SWAP_FAILED" });
    await client.call(["SELECT", "0"]);
    expect(await client.call(["GET", "live"])).toEqual(Buffer.from("1"));
  });

  it("warns that users differ and leaves them", async () => {
    const backup = await small();
    const { url } = await server();
    await (await connect(url)).call(["ACL", "SETUSER", "other", "on", "nopass"]);
    expect(await restore(url, backup)).toEqual(["redis-acl-differs"]);
  });
});
