import path from "node:path";
import { mkdirSync, chownSync, statSync } from "node:fs";
import { createClient } from "redis";
import { findProgram, freePort, prepareFolder, type RunningServer, startServer } from "./server-process.ts";

/** The installed `redis-server` or `valkey-server`, or undefined. */
export function findRedis(): string | undefined {
  return findProgram(["redis-server", "valkey-server"]);
}

export interface RedisOfShop extends RunningServer {
  /** For the shop and for backups alike. */
  readonly url: string;
}

/** Runs a server on data in `wished`. Writes are durable. */
export async function startRedis(program: string, wished: string, password: string): Promise<RedisOfShop> {
  const folder = await prepareFolder(wished, "redis");
  const data = path.join(folder.path, "data");
  mkdirSync(data, { recursive: true });
  const { uid, gid } = statSync(folder.path);
  chownSync(data, uid, gid);
  const port = await freePort();
  const url = `redis://:${encodeURIComponent(password)}@127.0.0.1:${port}`;
  const settings = [
    `port ${port}`,
    "bind 127.0.0.1",
    `dir ${JSON.stringify(data)}`,
    `requirepass ${JSON.stringify(password)}`,
    'save ""',
    "appendonly yes",
    "appendfsync always",
  ];
  const server = await startServer({
    name: "Redis",
    program,
    args: ["-"],
    folder,
    port,
    stopSignal: "SIGTERM",
    input: `${settings.join("\n")}\n`,
    answers: () => canConnect(url),
  });
  return { ...server, url };
}

async function canConnect(url: string): Promise<boolean> {
  const client = createClient({ url, socket: { reconnectStrategy: false, connectTimeout: 2_000 } });
  // The failure comes out of `connect`, too.
  client.on("error", () => client.destroy());
  try {
    await client.connect();
    await client.ping();
    await client.close();
    return true;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // It starts or loads still; if it never ends, its log is shown.
    return false;
  }
}
