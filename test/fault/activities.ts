// Kills workers with SIGKILL at seeded moments, with the catalog in SQLite and in PostgreSQL with three workers, and looks at
// everything after each: node test/fault/activities.ts [--seed N] [--moments M] [--catalog sqlite|postgresql]
// Prints a line of JSON for each moment, then one with the summary for each catalog. Exit code 1 if anything was not as it
// must be. SIGINT and SIGTERM end it after the moment that it is at.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type PostgresqlServer, startPostgresql } from "../../src/services/conformance/index.ts";
import { killWorkers } from "./activities/kill-workers.ts";
import { catalogSql } from "./activities/state-changes.ts";
import { removeSite } from "./activities/worker-site.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    moments: { type: "string", default: "100" },
    catalog: { type: "string" },
  },
});
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
let failed = false;
for (const kind of ["sqlite", "postgresql"] as const) {
  if (values.catalog !== undefined && values.catalog !== kind) continue;
  const folder = mkdtempSync(join(tmpdir(), `holdfast-activities-${kind}-`));
  let server: PostgresqlServer | undefined;
  try {
    if (kind === "postgresql") server = await startPostgresql();
    const place = server === undefined ? { file: join(folder, "catalog.db") } : { url: server.url("postgres") };
    const moments = await killWorkers({
      folder,
      place,
      seed: Number(values.seed),
      moments: Number(values.moments),
      slackMs: 8000,
      survivors: kind === "postgresql" ? 2 : 0,
      sql: catalogSql(place, server),
      onMoment: (moment) => process.stdout.write(`${JSON.stringify({ catalog: kind, ...moment })}\n`),
      signal: stop.signal,
    });
    const wrong = moments.filter(({ problems }) => problems.length > 0).length;
    const takenUp = moments.flatMap(({ takenUpMs }) => takenUpMs ?? []);
    const summary = {
      catalog: kind,
      seed: Number(values.seed),
      moments: moments.length,
      killed: moments.filter(({ step }) => step !== undefined).length,
      taken_up: takenUp.length,
      longest_ms: Math.max(0, ...takenUp),
      wrong,
    };
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    failed ||= wrong > 0 || summary.killed === 0;
    // What went wrong is in the folder.
    if (wrong === 0) removeSite(folder);
  } finally {
    await server?.stop();
  }
}
process.exitCode = failed ? 1 : 0;
