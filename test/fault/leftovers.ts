import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createConnection, type RowDataPacket } from "mysql2/promise";
import { Client } from "pg";
import { createClient } from "redis";
import type { Site } from "../../examples/shop/site.ts";
import { systemErrorCode } from "../../src/base/index.ts";
import { serviceUrl, sortedEntries } from "./shop-fingerprint.ts";

/** Set for every process that the test starts, so that those it left behind are known by their environment. */
export const markVariable = "HOLDFAST_KILL_TEST";

/** What an environment at rest looks like: all names that an operation could leave more of. */
export type AtRest = ReadonlyMap<string, string>;

/** How long a process or session of the dead may take to notice that nobody listens any more. */
const patienceMs = 5_000;

/** Reads the servers, folders and processes of the site as they are. `processes` is what may run. */
export async function readAtRest(site: Site, processes: ReadonlySet<number>): Promise<AtRest> {
  const facts = [
    ...(await readPostgresql(serviceUrl(site, "db"))),
    ...(await readMariadb(serviceUrl(site, "shipments"))),
    ...(await readRedis(serviceUrl(site, "cache"))),
    ["files named after Holdfast", strayFiles(site.folder).join(", ")],
    ["temporary files", namesIn(path.join(site.folder, "tmp")).join(", ")],
    ["operations", namesIn(path.join(site.folder, "state/operations")).join(", ")],
    ["locks of the repository", namesIn(path.join(site.folder, "repository/locks")).filter(isWhole).join(", ")],
    ["processes", markedProcesses(processes).join(", ")],
  ] as const;
  return new Map(facts);
}

/** What is there that was not, or the other way round; looks again for a while, for what is about to end. */
export async function leftovers(site: Site, rest: AtRest, processes: ReadonlySet<number>): Promise<string[]> {
  const startedAtMs = performance.now();
  for (;;) {
    const now = await readAtRest(site, processes);
    const found = [...now].filter(([name, value]) => rest.get(name) !== value);
    if (found.length === 0) return [];
    if (performance.now() - startedAtMs > patienceMs) {
      return found.map(([name, value]) => `${name}: ${value} (at rest: ${rest.get(name) ?? "-"})`);
    }
    await wait(100);
  }
}

/** Ids of all processes with the test's mark in their environment. */
export function markedProcessIds(): number[] {
  const mark = `${markVariable}=${process.env[markVariable] ?? ""}`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && readProcess(pid, "environ").split("\0").includes(mark));
}

/** "4711 pg_dump ...": marked, and neither known nor the child of a known one. */
export function markedProcesses(known: ReadonlySet<number>): string[] {
  const strays = markedProcessIds().filter((pid) => !known.has(pid) && !known.has(parentOf(pid)));
  return strays
    .map((pid) => [pid, readProcess(pid, "cmdline").replaceAll("\0", " ").slice(0, 100)] as const)
    .filter(([, command]) => command !== "")
    .map(([pid, command]) => `${pid} ${command}`);
}

/** The second field is a name in parentheses that may hold anything; the fourth is the parent. */
function parentOf(pid: number): number {
  const stat = readProcess(pid, "stat");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
}

function readProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch (error) {
    // It ended meanwhile, or is another user's.
    if (["ENOENT", "ESRCH", "EACCES"].includes(systemErrorCode(error) ?? "")) return "";
    throw error;
  }
}

/** Staged, old and temporary names in the site's own folders; the servers' folders belong to the servers. */
function strayFiles(folder: string): string[] {
  const roots = ["app", "repository", "state/locks"].map((name) => path.join(folder, name));
  return roots.flatMap((root) =>
    readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.holdfast|\.new$/.test(path.basename(name)))
      .map((name) => path.join(path.basename(root), name))
      .toSorted(),
  );
}

/** Files that a killed process had not yet given their names. No reader of a repository sees them. */
export function repositoryTemporaries(site: Site): string[] {
  const names = readdirSync(path.join(site.folder, "repository"), { recursive: true, encoding: "utf8" });
  return names.filter((name) => !isWhole(name)).toSorted();
}

const isWhole = (name: string): boolean => !name.includes("-tmp-");

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).toSorted() : [];
}

async function readPostgresql(url: string): Promise<[string, string][]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const list = async (query: string): Promise<string> => {
      const { rows } = await client.query<{ name: string }>(query);
      return rows.map(({ name }) => name).join(", ");
    };
    return [
      ["PostgreSQL databases", await list("SELECT datname || datallowconn AS name FROM pg_database ORDER BY 1")],
      ["PostgreSQL roles", await list("SELECT rolname AS name FROM pg_roles ORDER BY 1")],
      [
        "PostgreSQL sessions",
        await list("SELECT application_name AS name FROM pg_stat_activity WHERE application_name LIKE 'holdfast-%'"),
      ],
    ];
  } finally {
    await client.end();
  }
}

async function readMariadb(url: string): Promise<[string, string][]> {
  const connection = await createConnection({ uri: url });
  try {
    const list = async (query: string): Promise<string> => {
      const [rows] = await connection.query<RowDataPacket[]>(query);
      return rows.map((row) => Object.values(row).join(" ")).join(", ");
    };
    return [
      ["MariaDB schemas", await list("SHOW DATABASES")],
      [
        "MariaDB sessions",
        await list(
          `SELECT user, info FROM information_schema.PROCESSLIST
           WHERE id <> CONNECTION_ID() AND user = SUBSTRING_INDEX(USER(), '@', 1)`,
        ),
      ],
      [
        "MariaDB settings",
        await list(
          `SELECT variable_name, variable_value FROM information_schema.GLOBAL_VARIABLES
           WHERE variable_name IN ('READ_ONLY', 'EVENT_SCHEDULER', 'FOREIGN_KEY_CHECKS', 'LOCK_WAIT_TIMEOUT', 'SQL_MODE')
           ORDER BY 1`,
        ),
      ],
    ];
  } finally {
    await connection.end();
  }
}

async function readRedis(url: string): Promise<[string, string][]> {
  const client = createClient({ url });
  client.on("error", (error: Error) => process.stderr.write(`redis: ${error.message}\n`));
  await client.connect();
  try {
    const databases = [...(await client.info("keyspace")).matchAll(/^db\d+/gm)].map(([name]) => name);
    const slaves = /connected_slaves:\d+/.exec(await client.info("replication"))?.[0] ?? "";
    const settings = await client.configGet("*");
    return [
      ["Redis databases", databases.join(", ")],
      ["Redis replicas", slaves],
      ["Redis settings", JSON.stringify(sortedEntries(settings))],
    ];
  } finally {
    await client.close();
  }
}
