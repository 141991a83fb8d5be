import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, writeFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startClientTool } from "../client-tool/client-tool.ts";
import { parsePostgresqlUrl } from "./postgresql-config.ts";

/** A PostgreSQL server of our own, for tests, benchmarks and the example. */
export interface PostgresqlServer {
  readonly port: number;
  /** The superuser: "postgres" / "secret". */
  readonly password: string;
  /** Connection URL of the superuser, or of `user` with the same password. */
  url(database: string, user?: string): string;
  /** Runs SQL as the superuser and returns psql's unaligned output without headers. */
  sql(database: string, sql: string): string;
  /** Starts SQL as the superuser in a psql of its own, without waiting for it. */
  run(database: string, sql: string): RunningSql;
  /** Stops the server and removes its folder. Idempotent. */
  stop(): Promise<void>;
}

export interface RunningSql {
  /** What psql has printed so far, unaligned and without headers. */
  output(): string;
  /** Rejects if psql was ended or met an error. */
  readonly done: Promise<void>;
  /** Ends psql and its session. */
  kill(): Promise<void>;
}

export interface PostgresqlServerOptions {
  /** Whether commits are flushed; default false, which is fast and safe against kill -9 but not against a power cut. */
  readonly fsync?: boolean;
  /** Lines for postgresql.conf as `name=value`. */
  readonly settings?: readonly string[];
  /** Folder for data and log; default a new one in the system's temporary folder. */
  readonly parentDirectory?: string;
}

/** The folder of the newest installed server's programs, or undefined if there is none. */
export async function findPostgresqlPrograms(): Promise<string | undefined> {
  const root = "/usr/lib/postgresql";
  if (!existsSync(root)) return undefined;
  const versions = (await readdir(root)).filter((name) => existsSync(join(root, name, "bin", "postgres")));
  const newest = versions.toSorted((a, b) => Number(b) - Number(a))[0];
  return newest === undefined ? undefined : join(root, newest, "bin");
}

/** Makes a cluster in a new folder and starts it on a free loopback port; under root as the user postgres. */
export async function startPostgresql(options: PostgresqlServerOptions = {}): Promise<PostgresqlServer> {
  const programs = await findPostgresqlPrograms();
  if (programs === undefined) throw new Error("No PostgreSQL server is installed (Debian: apt install postgresql).");
  const folder = await mkdtemp(join(options.parentDirectory ?? tmpdir(), "holdfast-postgresql-"));
  const password = "secret";
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o644 });
  const prefix: string[] = [];
  if (process.getuid?.() === 0) {
    const id = (flag: string): number => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
    chownSync(folder, id("-u"), id("-g"));
    // The server goes when we do, however we end.
    prefix.push("setpriv", "--pdeathsig=INT", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--");
  }
  const runProgram = (program: string, args: readonly string[]): string => {
    const [command, ...rest] = [...prefix, join(programs, program), ...args];
    return execFileSync(command as string, rest, {
      encoding: "utf8",
      cwd: folder,
      stdio: ["pipe", "pipe", "pipe"],
    });
  };
  const data = join(folder, "data");
  runProgram("initdb", [
    "-D",
    data,
    "-U",
    "postgres",
    "-E",
    "UTF8",
    "--locale=C.UTF-8",
    "-A",
    "scram-sha-256",
    "-N",
    `--pwfile=${passwordFile}`,
  ]);

  const port = await freePort();
  const fsync = options.fsync === true ? "on" : "off";
  const settings = [
    "listen_addresses=127.0.0.1",
    `unix_socket_directories=${folder}`,
    `fsync=${fsync}`,
    "max_wal_size=4GB",
    "log_destination=stderr",
    ...(options.settings ?? []),
  ];
  const [command, ...args] = [
    ...prefix,
    join(programs, "postgres"),
    "-D",
    data,
    "-p",
    String(port),
    ...settings.flatMap((setting) => ["-c", setting]),
  ];
  const server = spawn(command as string, args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"], detached: true });
  let log = "";
  server.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-8192);
  });
  const exited = once(server, "exit");
  // A test run that is interrupted takes its servers along.
  const killAtExit = (): void => void server.kill("SIGQUIT");
  process.once("exit", killAtExit);

  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    if (server.exitCode === null && server.signalCode === null) server.kill("SIGINT");
    await exited;
    process.removeListener("exit", killAtExit);
    await rm(folder, { recursive: true, force: true });
  };
  const url = (database: string, user = "postgres"): string =>
    `postgresql://${encodeURIComponent(user)}:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
  const sql = (database: string, text: string): string =>
    execFileSync(
      "psql",
      ["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", String(port), "-U", "postgres", "-d", database],
      {
        encoding: "utf8",
        env: { ...process.env, PGPASSWORD: password, PGCLIENTENCODING: "UTF8" },
        stdio: ["pipe", "pipe", "pipe"],
        maxBuffer: 64 * 1024 * 1024,
        input: text,
      },
    ).trimEnd();

  const startedAt = performance.now();
  for (;;) {
    if (server.exitCode !== null || performance.now() - startedAt > 30_000) {
      await stop();
      throw new Error(`PostgreSQL did not start: ${log}`);
    }
    const answer = spawnSync(join(programs, "pg_isready"), ["-q", "-h", "127.0.0.1", "-p", String(port)]);
    if (answer.status === 0) break;
    await delay(30);
  }
  return {
    port,
    password,
    url,
    sql,
    run: (database, text) => runSql(sql, url(database), text),
    stop: () => (stopped ??= stop()),
  };
}

let runs = 0;

function runSql(sql: PostgresqlServer["sql"], url: string, text: string): RunningSql {
  runs += 1;
  const name = `run-${process.pid}-${runs}`;
  const { password, ...rest } = parsePostgresqlUrl(url);
  const tool = startClientTool("psql", ["-XAtq", "--no-password", "-v", "ON_ERROR_STOP=1"], {
    exec: [],
    env: {
      PGHOST: rest.host,
      PGPORT: String(rest.port),
      PGUSER: rest.user,
      PGDATABASE: rest.database,
      PGAPPNAME: name,
    },
    secrets: { PGPASSWORD: password ?? "" },
  });
  let output = "";
  tool.stdout.setEncoding("utf8").on("data", (piece: string) => {
    output += piece;
  });
  tool.stdin.end(text);
  return {
    output: () => output,
    done: tool.done,
    kill: async () => {
      // Ending psql alone would leave its session running until the server next writes to it.
      sql("postgres", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '${name}'`);
      await tool.kill();
    },
  };
}

async function freePort(): Promise<number> {
  const listener = createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  listener.close();
  await once(listener, "close");
  if (address === null || typeof address === "string") throw new Error("The system gave no port.");
  return address.port;
}
