import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type PostgresqlServer, startPostgresql } from "../../../src/services/conformance/index.ts";
import { killWorkers } from "./kill-workers.ts";
import { catalogSql } from "./state-changes.ts";
import { removeSite } from "./worker-site.ts";

// A few moments of what `node test/fault/activities.ts` does at length.
test.each(["sqlite", "postgresql"] as const)(
  "workers killed at seeded moments leave every activity ended once and the catalog as the repository, on %s",
  { timeout: 300_000 },
  async (kind) => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-kill-workers-"));
    let server: PostgresqlServer | undefined;
    try {
      if (kind === "postgresql") server = await startPostgresql();
      const place = server === undefined ? { file: join(folder, "catalog.db") } : { url: server.url("postgres") };
      const survivors = kind === "postgresql" ? 2 : 0;
      const sql = catalogSql(place, server);
      const moments = await killWorkers({ folder, place, seed: 7, moments: 4, survivors, slackMs: Infinity, sql });
      expect(moments.flatMap(({ problems }) => problems)).toEqual([]);
      expect(moments.some(({ step }) => step !== undefined)).toBe(true);
    } finally {
      await server?.stop();
      removeSite(folder);
    }
  },
);
