import { chownSync, existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { Client } from "pg";
import { findProgram, freePort, prepareFolder, runAs, type RunningServer, startServer } from "./server-process.ts";

/** The newest installed server's `postgres`, or undefined. */
export function findPostgresql(): string | undefined {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a)) : [];
  const packaged = versions.map((version) => path.join(root, version, "bin", "postgres")).find(existsSync);
  return packaged ?? findProgram(["postgres"]);
}

export interface PostgresqlOfShop extends RunningServer {
  /** For the shop: a user that owns the database `shop` and nothing else. */
  readonly url: string;
  /** For backups and restores: the superuser. */
  readonly adminUrl: string;
}

/** Runs a server on data in `wished`, made if there is none. Commits are durable. */
export async function startPostgresql(program: string, wished: string, password: string): Promise<PostgresqlOfShop> {
  const folder = await prepareFolder(wished, "postgres");
  const data = path.join(folder.path, "data");
  if (!existsSync(data)) {
    const passwordFile = path.join(folder.path, "password");
    writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
    const { uid, gid } = statSync(folder.path);
    chownSync(passwordFile, uid, gid);
    const args = ["-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256"];
    runAs(folder, path.join(path.dirname(program), "initdb"), [...args, "-N", `--pwfile=${passwordFile}`]);
    await rm(passwordFile);
  }
  const port = await freePort();
  const url = (user: string, database: string): string =>
    `postgresql://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`;
  const settings = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=100",
    "max_wal_size=2GB",
  ];
  const server = await startServer({
    name: "PostgreSQL",
    program,
    args: ["-D", data, "-p", String(port), ...settings.flatMap((setting) => ["-c", setting])],
    folder,
    port,
    stopSignal: "SIGINT",
    answers: async () => (await tryConnect(url("postgres", "postgres"))) !== undefined,
  });
  try {
    await makeDatabase(url("postgres", "postgres"), password);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return { ...server, url: url("shop", "shop"), adminUrl: url("postgres", "shop") };
}

async function tryConnect(url: string): Promise<true | undefined> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  try {
    await client.connect();
    await client.end();
    return true;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // It starts still; if it never does, its log is shown.
    return undefined;
  }
}

async function makeDatabase(url: string, password: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rowCount } = await client.query("SELECT 1 FROM pg_roles WHERE rolname = 'shop'");
    if (rowCount !== 0) return;
    await client.query(`CREATE ROLE shop LOGIN PASSWORD ${client.escapeLiteral(password)}`);
    await client.query("CREATE DATABASE shop OWNER shop");
  } finally {
    await client.end();
  }
}
