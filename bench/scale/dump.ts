import path from "node:path";
import { Client } from "pg";
import { findPostgresql, startPostgresql } from "../../examples/shop/servers/postgresql.ts";
import { spread, type Spread } from "../engine/figures.ts";
import { type Cost, runMeasured } from "../engine/measured-command.ts";
import { Holdfast } from "../engine/programs.ts";
import { costText, type ScalePlan } from "./scale-plan.ts";

interface DumpFigures {
  readonly databaseBytes: number;
  readonly pgDump: readonly Cost[];
  readonly holdfast: readonly Cost[];
  readonly pgDumpWallSeconds: Spread;
  readonly holdfastWallSeconds: Spread;
  /** Median wall time of the backup by that of pg_dump into a file; the goal is 1.1 at most. */
  readonly ratio: number;
}

/** A PostgreSQL database into a new repository, and by pg_dump into a file, in turns. */
export async function measureDump(plan: ScalePlan): Promise<DumpFigures> {
  const program = findPostgresql();
  if (program === undefined) throw new Error("The benchmark needs PostgreSQL: apt-get install postgresql");
  const server = await startPostgresql(program, path.join(plan.folder, "postgresql"), "bench");
  try {
    const databaseBytes = await fill(server.adminUrl, plan.dumpBytes);
    const services = { db: { type: "postgresql", url: server.adminUrl } };
    const holdfast = new Holdfast(path.join(plan.folder, "holdfast"), plan.folder, plan.program, {
      environment: { services },
    });
    const url = new URL(server.adminUrl);
    const pgDump: Cost[] = [];
    const backups: Cost[] = [];
    for (let run = 0; run < plan.runs; run += 1) {
      const file = path.join(plan.folder, "dump.sql");
      const command = ["pg_dump", "-h", url.hostname, "-p", url.port, "-U", url.username, "-f", file, "shop"];
      const options = { timeFile: path.join(plan.folder, "time"), cwd: plan.folder, env: { PGPASSWORD: url.password } };
      const alone = runMeasured(command, options);
      holdfast.init();
      const backup = holdfast.backup();
      plan.say(`dump: pg_dump ${costText(alone)}; holdfast ${costText(backup)}`);
      pgDump.push(alone);
      backups.push(backup);
    }
    const pgDumpWallSeconds = spread(pgDump.map((cost) => cost.wallSeconds));
    const holdfastWallSeconds = spread(backups.map((cost) => cost.wallSeconds));
    const ratio = holdfastWallSeconds.median / pgDumpWallSeconds.median;
    plan.say(
      `dump of ${Math.round(databaseBytes / 1e6)} MB: holdfast / pg_dump ${ratio.toFixed(2)} (goal 1.1 at most)`,
    );
    return { databaseBytes, pgDump, holdfast: backups, pgDumpWallSeconds, holdfastWallSeconds, ratio };
  } finally {
    await server.stop();
  }
}

/** Orders until the database is about so large; returns its size. */
async function fill(url: string, bytes: number): Promise<number> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query("CREATE TABLE orders (id bigint PRIMARY KEY, customer text, hash text, placed timestamptz)");
    await client.query(
      `INSERT INTO orders SELECT n, 'Customer number ' || n % 9973, md5(n::text) || md5((n * 7)::text), now() - n * interval '1 s'
         FROM generate_series(1, $1::bigint) n`,
      [Math.ceil(bytes / 170)],
    );
    await client.query("CHECKPOINT");
    const { rows } = await client.query<{ size: string }>("SELECT pg_database_size(current_database()) AS size");
    return Number(rows[0]?.size);
  } finally {
    await client.end();
  }
}
