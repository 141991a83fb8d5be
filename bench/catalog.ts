// Lists and gets in a catalog of 100,000 backups and 1,000,000 activities, on SQLite and on PostgreSQL (with fsync):
//   node bench/bench.ts catalog [--catalog sqlite|postgresql] [--backups 100000] [--activities 1000000] [--calls 400] [--folder F] [--url U]
// A catalog that is there already, in SQLite in the folder, in PostgreSQL at the URL, is measured as it is, so that making it need
// not be repeated. Without a URL a server is started.
// Prints milliseconds by call: median, 95th percentile, longest; exit code 1 if a 95th percentile is 50 ms or more.
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { systemClock } from "../src/base/index.ts";
import { type CatalogPlace, openCatalog } from "../src/control/index.ts";
import { startPostgresql } from "../src/services/conformance/index.ts";
import { randomFrom } from "../test/fault/kill-plan.ts";
import { catalogCalls } from "./catalog/calls.ts";
import { fillCatalog } from "./catalog/fill.ts";
import { environments, projects } from "./catalog/rows.ts";

const limitMs = 50;

const { values } = parseArgs({
  options: {
    catalog: { type: "string" },
    backups: { type: "string", default: "100000" },
    activities: { type: "string", default: "1000000" },
    calls: { type: "string", default: "400" },
    folder: { type: "string" },
    url: { type: "string" },
  },
});
const size = { backups: Number(values.backups), activities: Number(values.activities) };
const say = (text: string): void => void process.stderr.write(`${new Date().toISOString().slice(11, 19)}  ${text}\n`);

async function prepare(place: CatalogPlace): Promise<number> {
  const startedMs = performance.now();
  const catalog = await openCatalog(place, { clock: systemClock });
  const declared = environments.map((id) => ({
    id,
    title: id,
    type: "production" as const,
    parent: undefined,
    initialStatus: "active" as const,
  }));
  await catalog.projects.declare(
    projects.map((id) => ({ id, title: id, environments: declared })),
    { complete: true },
  );
  await catalog.close();
  await fillCatalog(place, size);
  return Math.round((performance.now() - startedMs) / 1000);
}

interface Figures {
  readonly rows: number;
  readonly median_ms: number;
  readonly p95_ms: number;
  readonly longest_ms: number;
}

async function measure(place: CatalogPlace): Promise<Record<string, Figures>> {
  const catalog = await openCatalog(place, { clock: systemClock });
  const results: Record<string, Figures> = {};
  for (const [name, call] of Object.entries(catalogCalls)) {
    const random = randomFrom(1);
    const times: number[] = [];
    let rows = 0;
    for (let n = 0; n < Number(values.calls); n += 1) {
      const startedMs = performance.now();
      rows += await call(catalog, random, size);
      times.push(performance.now() - startedMs);
    }
    const sorted = times.toSorted((a, b) => a - b);
    const at = (share: number): number =>
      Math.round((sorted[Math.floor((sorted.length - 1) * share)] ?? 0) * 100) / 100;
    results[name] = { rows: rows / times.length, median_ms: at(0.5), p95_ms: at(0.95), longest_ms: at(1) };
    say(`${name}: ${JSON.stringify(results[name])}`);
  }
  await catalog.close();
  return results;
}

async function hasActivities(url: string): Promise<boolean> {
  const found = await queried(url, "SELECT to_regclass('activities') IS NOT NULL AS is_there");
  return found["is_there"] === true;
}

async function databaseBytes(url: string): Promise<number> {
  return Number((await queried(url, "SELECT pg_database_size(current_database()) AS bytes"))["bytes"]);
}

async function queried(url: string, sql: string): Promise<Record<string, unknown>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<Record<string, unknown>>(sql);
  await client.end();
  return rows[0] ?? {};
}

const folder =
  values.folder === undefined
    ? mkdtempSync(path.join(tmpdir(), "holdfast-bench-catalog-"))
    : path.resolve(values.folder);
mkdirSync(folder, { recursive: true });
const report: Record<string, unknown> = { ...size };
let slow = false;
for (const kind of ["sqlite", "postgresql"] as const) {
  if (values.catalog !== undefined && values.catalog !== kind) continue;
  const server = kind === "postgresql" && values.url === undefined ? await startPostgresql({ fsync: true }) : undefined;
  try {
    const file = path.join(folder, "catalog.db");
    const place = kind === "sqlite" ? { file } : { url: server?.url("postgres") ?? values.url ?? "" };
    const isThere = "file" in place ? existsSync(file) : values.url !== undefined && (await hasActivities(place.url));
    const fillSeconds = isThere ? 0 : await prepare(place);
    say(`${kind}: filled in ${fillSeconds} s`);
    const load = loadavg()[0];
    const calls = await measure(place);
    slow ||= Object.values(calls).some(({ p95_ms }) => p95_ms >= limitMs);
    const bytes = "file" in place ? statSync(file).size : await databaseBytes(place.url);
    report[kind] = { fill_seconds: fillSeconds, bytes, load_before: load, load_after: loadavg()[0], calls };
  } finally {
    await server?.stop();
  }
}
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
if (values.folder === undefined) rmSync(folder, { recursive: true });
process.exitCode = slow ? 1 : 0;
