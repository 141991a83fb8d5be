import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { isHoldfastError } from "../../base/index.ts";
import { mariadbConnection } from "./mariadb-config.ts";
import { MariadbSession } from "./mariadb-session.ts";

const run = promisify(execFile);
const readyTimeoutMs = 30_000;

/** A MariaDB server for tests: its own folder, socket and free loopback port. */
export interface TestMariadb {
  readonly port: number;
  readonly password: string;
  /** Of root, or of another user; `mysql://root:secret@127.0.0.1:PORT/DATABASE`. */
  url(database: string, user?: string, password?: string): string;
  /** A session of root, with no current database. Close it. */
  session(): Promise<MariadbSession>;
  /** Runs statements as root in a session of their own; the rows of the last. */
  sql(...statements: readonly string[]): Promise<string[][]>;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
}

/** Makes and starts a server; `args` are added to mariadbd's. Takes one to two seconds. Stop it. */
export async function startMariadb(args: readonly string[] = []): Promise<TestMariadb> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-mariadb-"));
  const data = join(folder, "data");
  const asRoot = process.getuid?.() === 0 ? ["--user=root"] : [];
  const password = "it's a s3cret";
  let server: ChildProcess | undefined;
  const stop = async (): Promise<void> => {
    if (server !== undefined) await endProcess(server);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await run("mariadb-install-db", [
      "--no-defaults",
      `--datadir=${data}`,
      "--skip-test-db",
      "--auth-root-authentication-method=normal",
      ...asRoot,
    ]);
    const port = await freePort();
    const socket = join(folder, "mariadb.sock");
    const log = join(folder, "error.log");
    // Ends with us, however we end.
    server = spawn(
      "setpriv",
      [
        "--pdeathsig",
        "KILL",
        "mariadbd",
        "--no-defaults",
        `--datadir=${data}`,
        `--socket=${socket}`,
        `--port=${port}`,
        "--bind-address=127.0.0.1",
        `--pid-file=${join(folder, "pid")}`,
        `--log-error=${log}`,
        "--innodb-buffer-pool-size=64M",
        "--innodb-log-file-size=32M",
        "--innodb-flush-log-at-trx-commit=0",

        "--key-buffer-size=1M",
        "--aria-pagecache-buffer-size=1M",
        "--performance-schema=OFF",
        "--skip-name-resolve",
        ...asRoot,
        ...args,
      ],
      { stdio: "ignore" },
    );
    const url = (database: string, user = "root", secret = password): string =>
      `mysql://${user}:${encodeURIComponent(secret)}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
    const atFirst = `mysql://root@localhost/mysql?socket=${encodeURIComponent(socket)}`;
    const first = await whenReady(atFirst, server, log);
    const quoted = password.replaceAll("'", "''");
    await first.queryAll([
      `CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY '${quoted}'`,
      "GRANT ALL PRIVILEGES ON *.* TO root@'127.0.0.1' WITH GRANT OPTION",
      `ALTER USER root@localhost IDENTIFIED BY '${quoted}'`,
      "DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host NOT IN ('127.0.0.1', 'localhost'))",
      "FLUSH PRIVILEGES",
    ]);
    await first.close();
    const session = (): Promise<MariadbSession> =>
      MariadbSession.open(mariadbConnection({ type: "mariadb", url: url("mysql") }));
    const sql = async (...statements: readonly string[]): Promise<string[][]> => {
      const own = await session();
      try {
        return (await own.queryAll(statements)).at(-1) ?? [];
      } finally {
        await own.close();
      }
    };
    return { port, password, url, session, sql, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function whenReady(url: string, server: ChildProcess, log: string): Promise<MariadbSession> {
  const giveUpAt = performance.now() + readyTimeoutMs;
  for (;;) {
    try {
      return await MariadbSession.open(mariadbConnection({ type: "mariadb", url }));
    } catch (error) {
      const notYet = isHoldfastError(error, "SERVICE_UNREACHABLE") && server.exitCode === null;
      if (!notYet || performance.now() > giveUpAt) {
        const said = (await readFile(log, "utf8")).slice(-2000);
        throw new Error(`mariadbd did not start: ${said}`, { cause: error });
      }
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("No free port");
  return address.port;
}

async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await exited;
  clearTimeout(timer);
}
