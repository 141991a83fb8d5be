import { execFile } from "node:child_process";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type EnvironmentId,
  isHoldfastError,
  newBackupId,
  type ProjectId,
  type SourceId,
  systemClock,
} from "../../base/index.ts";
import type { Backup } from "../../engine/index.ts";
import { openSqliteCatalog, type SqliteCatalog } from "./sqlite-catalog.ts";

const project = "shop" as ProjectId;
const main = "main" as EnvironmentId;
const staging = "staging" as EnvironmentId;

function backupAt(createdAt: Date, environment = main): Backup {
  return {
    id: newBackupId(),
    project,
    environment,
    snapshot: "ab".repeat(32),
    createdAt,
    updatedAt: createdAt,
    expiresAt: new Date(createdAt.getTime() + 1000),
    status: "CREATED",
    automated: false,
    safe: true,
    restorable: true,
    commitId: "1f3c9ab",
    hold: { drainMs: 38, heldMs: 212.5, requestsHeld: 31, longestWaitMs: 214, requestsFailed: 0 },
    skewMs: 12.25,
    durationMs: 9800,
    sizeBytes: 2_400_000_000,
    written: { bytesNew: 61_000_000, bytesStored: 14_000_000, blobsNew: 61 },
    components: [
      {
        source: "service:db" as SourceId,
        kind: "postgresql",
        path: "services/db",
        engineVersion: "15.18",
        frozenAt: createdAt,
        freezeMs: 0.9,
        freezeFacts: { method: "pg_export_snapshot" },
        files: 3,
        bytes: 212,
      },
    ],
    warnings: [{ source: null, kind: "file-changing", message: "media/a.jpg went on changing" }],
  };
}

describe("the catalog in an SQLite file", () => {
  let folder: string;
  let file: string;
  let catalog: SqliteCatalog;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-catalog-"));
    file = join(folder, "catalog.db");
    catalog = await openSqliteCatalog({ file, clock: systemClock });
  });
  afterEach(async () => {
    catalog.close();
    await rm(folder, { recursive: true });
  });

  test("gives back a backup field by field, dates as dates", async () => {
    const backup = backupAt(new Date("2026-11-21T04:12:00.123Z"));
    await catalog.insert(backup);
    expect(await catalog.get(project, backup.id)).toEqual(backup);
    expect(await catalog.get("other" as ProjectId, backup.id)).toBeUndefined();
  });

  test("lists newest first, one environment or all", async () => {
    const old = backupAt(new Date(1000));
    const middle = backupAt(new Date(2000), staging);
    const newest = backupAt(new Date(3000));
    for (const backup of [middle, newest, old]) await catalog.insert(backup);
    expect((await catalog.list(project)).map((backup) => backup.id)).toEqual([newest.id, middle.id, old.id]);
    expect((await catalog.list(project, main)).map((backup) => backup.id)).toEqual([newest.id, old.id]);
    expect(await catalog.list("other" as ProjectId)).toEqual([]);
  });

  test("inserting, marking and removing twice is the same as once", async () => {
    const backup = backupAt(new Date(1000));
    await catalog.insert(backup);
    await catalog.insert(backup);
    await catalog.setStatus(project, backup.id, "DELETING");
    const marked = await catalog.get(project, backup.id);
    expect(marked?.status).toBe("DELETING");
    expect(marked?.updatedAt.getTime()).toBeGreaterThan(backup.updatedAt.getTime());
    await catalog.remove(project, backup.id);
    await catalog.remove(project, backup.id);
    expect(await catalog.list(project)).toEqual([]);
  });

  test("keeps its files from other users", async () => {
    await catalog.insert(backupAt(new Date(1000)));
    for (const suffix of ["", "-wal", "-shm"]) {
      expect((await stat(file + suffix)).mode & 0o777, `catalog.db${suffix}`).toBe(0o600);
    }
  });

  test("takes an environment's status from the configuration once, and from then on from itself", async () => {
    expect(await catalog.environmentStatus(project, main, "inactive")).toBe("inactive");
    expect(await catalog.environmentStatus(project, main, "active")).toBe("inactive");
    await catalog.setEnvironmentStatus(project, main, "active");
    expect(await catalog.environmentStatus(project, main, "inactive")).toBe("active");
  });

  test("writes of several processes at once all arrive", async () => {
    const script = join(folder, "writer.ts");
    const backup = backupAt(new Date(1000));
    await writeFile(
      script,
      `import { openSqliteCatalog } from ${JSON.stringify(join(import.meta.dirname, "sqlite-catalog.ts"))};
       import { newBackupId, systemClock } from ${JSON.stringify(join(import.meta.dirname, "../../base/index.ts"))};
       const catalog = await openSqliteCatalog({ file: ${JSON.stringify(join(folder, "fresh.db"))}, clock: systemClock });
       const backup = ${JSON.stringify(backup)};
       for (let n = 0; n < 25; n += 1) await catalog.insert({ ...backup, id: newBackupId(),
         createdAt: new Date(n), updatedAt: new Date(n), expiresAt: null });
       catalog.close();`,
    );
    const run = promisify(execFile);
    await Promise.all([1, 2, 3, 4].map(() => run(process.execPath, [script])));
    const fresh = await openSqliteCatalog({ file: join(folder, "fresh.db"), clock: systemClock });
    try {
      expect(await fresh.list(project)).toHaveLength(100);
    } finally {
      fresh.close();
    }
  });

  test("waits for another process's write no longer than it may, and then says so", async () => {
    const other = new DatabaseSync(file);
    const impatient = await openSqliteCatalog({ file, clock: systemClock, busyTimeoutMs: 30 });
    try {
      other.exec("BEGIN IMMEDIATE");
      const failure: unknown = await impatient.insert(backupAt(new Date(1))).catch((error: unknown) => error);
      expect(isHoldfastError(failure, "STATE_UNUSABLE")).toBe(true);
      other.exec("ROLLBACK");
      await impatient.insert(backupAt(new Date(1)));
    } finally {
      impatient.close();
      other.close();
    }
  });

  test("refuses a file that a newer program wrote, and one that is no database", async () => {
    const newer = join(folder, "newer.db");
    const database = new DatabaseSync(newer);
    database.exec("PRAGMA user_version = 99");
    database.close();
    await expect(openSqliteCatalog({ file: newer, clock: systemClock })).rejects.toThrow(/version 99/);
    const junk = join(folder, "junk.db");
    await writeFile(junk, "not a database ".repeat(1000));
    await expect(openSqliteCatalog({ file: junk, clock: systemClock })).rejects.toThrow(/cannot be used/);
    await expect(openSqliteCatalog({ file: join(folder, "no/catalog.db"), clock: systemClock })).rejects.toThrow(
      /cannot be used/,
    );
  });
});
