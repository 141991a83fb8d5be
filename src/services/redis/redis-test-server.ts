import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isHoldfastError } from "../../base/index.ts";
import { redisAddress } from "./redis-config.ts";
import { RedisConnection } from "./redis-connection.ts";

export interface RedisTestServerOptions {
  readonly password?: string;
  readonly appendonly?: boolean;
  /** More arguments of redis-server: `["--databases", "4"]`. */
  readonly args?: readonly string[];
}

export interface RedisTestServer {
  /** With the password, if there is one. */
  readonly url: string;
  readonly port: number;
  readonly directory: string;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
}

/** Starts redis-server on a free loopback port in a temporary folder; resolves when it answers. */
export async function startRedis(options: RedisTestServerOptions = {}): Promise<RedisTestServer> {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-redis-"));
  const port = await freePort();
  const args = [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--dir",
    directory,
    "--save",
    "",
    "--logfile",
    join(directory, "redis.log"),
  ];
  args.push("--appendonly", options.appendonly === true ? "yes" : "no", ...(options.args ?? []));
  // The password goes through standard input, where the process list does not show it.
  const child = spawn("redis-server", ["-", ...args], { stdio: ["pipe", "ignore", "ignore"] });
  child.stdin.end(options.password === undefined ? "" : `requirepass ${JSON.stringify(options.password)}\n`);
  const credentials = options.password === undefined ? "" : `:${encodeURIComponent(options.password)}@`;
  const url = `redis://${credentials}127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    await end(child);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await answering(url, child);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, port, directory, stop };
}

async function answering(url: string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    try {
      (await RedisConnection.open(redisAddress({ type: "redis", url }))).close();
      return;
    } catch (error) {
      if (!isHoldfastError(error, "SERVICE_UNREACHABLE") || child.exitCode !== null || Date.now() > deadline)
        throw error;
      await delay(10);
    }
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("No port.");
  return address.port;
}
