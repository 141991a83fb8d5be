import { chownSync, existsSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createConnection } from "mysql2/promise";
import { findProgram, freePort, prepareFolder, runAs, type RunningServer, startServer } from "./server-process.ts";

/** The installed `mariadbd`, or undefined. */
export function findMariadb(): string | undefined {
  return findProgram(["mariadb-install-db"]) === undefined ? undefined : findProgram(["mariadbd"]);
}

export interface MariadbOfShop extends RunningServer {
  /** For the shop: a user with all rights on the database `shipments` and none on others. */
  readonly url: string;
  /** For backups and restores: a user with all rights. */
  readonly adminUrl: string;
}

/** Runs a server on data in `wished`, made if there is none. Commits are durable. */
export async function startMariadb(program: string, wished: string, password: string): Promise<MariadbOfShop> {
  const folder = await prepareFolder(wished, "mysql");
  const data = path.join(folder.path, "data");
  if (!existsSync(data)) {
    const install = findProgram(["mariadb-install-db"]) ?? "mariadb-install-db";
    const args = ["--no-defaults", `--datadir=${data}`, "--auth-root-authentication-method=normal", "--skip-test-db"];
    runAs(folder, install, [...args, "--skip-name-resolve"]);
  }
  const port = await freePort();
  const secret = password.replaceAll(/['\\]/g, "\\$&");
  const setup = path.join(folder.path, "setup.sql");
  const users = { shop: "shipments.*", holdfast: "*.*" };
  const lines = Object.entries(users).flatMap(([user, scope]) => [
    `CREATE USER IF NOT EXISTS '${user}'@'127.0.0.1' IDENTIFIED BY '${secret}';`,
    `GRANT ALL PRIVILEGES ON ${scope} TO '${user}'@'127.0.0.1'${user === "holdfast" ? " WITH GRANT OPTION" : ""};`,
  ]);
  writeFileSync(setup, `CREATE DATABASE IF NOT EXISTS shipments;\n${lines.join("\n")}\n`, { mode: 0o600 });
  const { uid, gid } = statSync(folder.path);
  chownSync(setup, uid, gid);
  const url = (user: string): string => `mysql://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/shipments`;
  const server = await startServer({
    name: "MariaDB",
    program,
    args: [
      "--no-defaults",
      `--datadir=${data}`,
      `--port=${port}`,
      "--bind-address=127.0.0.1",
      `--socket=${path.join(folder.path, "socket")}`,
      `--pid-file=${path.join(folder.path, "pid")}`,
      `--init-file=${setup}`,
      "--skip-name-resolve",
      "--innodb-flush-log-at-trx-commit=1",
      "--max-allowed-packet=64M",
    ],
    folder,
    port,
    stopSignal: "SIGTERM",
    answers: () => canConnect(url("shop")),
  });
  return { ...server, url: url("shop"), adminUrl: url("holdfast") };
}

async function canConnect(url: string): Promise<boolean> {
  try {
    const connection = await createConnection({ uri: url, connectTimeout: 2_000 });
    await connection.end();
    return true;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // It starts still; if it never does, its log is shown.
    return false;
  }
}
