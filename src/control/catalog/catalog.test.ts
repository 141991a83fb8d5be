import { execFile } from "node:child_process";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type EnvironmentId,
  HoldfastError,
  isHoldfastError,
  newBackupId,
  type ProjectId,
  type SourceId,
  systemClock,
} from "../../base/index.ts";
import type { Backup } from "../../engine/index.ts";
import { catalogKinds, useCatalogPlaces } from "../testing/catalog-places.ts";
import { type CatalogPlace, type OpenCatalog, openCatalog } from "./open-catalog.ts";

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

const clock = systemClock;

const places = useCatalogPlaces();

async function failureOf(promise: Promise<unknown>): Promise<HoldfastError> {
  const failure: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (failure instanceof HoldfastError) return failure;
  throw new Error(`expected a HoldfastError, got ${String(failure)}`);
}

describe.each(catalogKinds)("the catalog on %s", (kind) => {
  let place: CatalogPlace;
  let catalog: OpenCatalog;

  beforeEach(async () => {
    place = places.fresh(kind);
    catalog = await openCatalog(place, { clock });
  }, 30_000);
  afterEach(() => catalog.close());

  test("gives back a backup field by field, dates as dates", async () => {
    const backup = backupAt(new Date("2026-11-21T04:12:00.123Z"));
    await catalog.insert(backup);
    expect(await catalog.get(project, backup.id)).toEqual(backup);
    expect(await catalog.get("other" as ProjectId, backup.id)).toBeUndefined();
  });

  test("keeps text of any kind", async () => {
    const backup = { ...backupAt(new Date(1000)), commitId: "quote ' \\ nul \0 lone \ud800 face \u{1f600} $1 ?" };
    await catalog.insert(backup);
    expect(await catalog.get(project, backup.id)).toEqual(backup);
  });

  test("lists newest first, one environment or all, and at one moment by id", async () => {
    const old = backupAt(new Date(1000));
    const middle = backupAt(new Date(2000), staging);
    const newest = backupAt(new Date(3000));
    for (const backup of [middle, newest, old]) await catalog.insert(backup);
    expect((await catalog.list(project)).map((backup) => backup.id)).toEqual([newest.id, middle.id, old.id]);
    expect((await catalog.list(project, main)).map((backup) => backup.id)).toEqual([newest.id, old.id]);
    expect(await catalog.list("other" as ProjectId)).toEqual([]);
    expect(await catalog.latestBackup(project, main)).toEqual(newest);
    await catalog.setStatus(project, newest.id, "DELETING");
    expect(await catalog.latestBackup(project, main)).toEqual(old);
    expect(await catalog.latestBackup("other" as ProjectId, main)).toBeUndefined();
    const atOnce = Array.from({ length: 30 }, () => backupAt(new Date(9000)));
    for (const backup of atOnce) await catalog.insert(backup);
    const listed = (await catalog.list(project)).slice(0, 30).map(({ id }) => id);
    expect(listed).toEqual(listed.toSorted().reverse());
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

  test("takes an environment's status from the configuration once, and from then on from itself", async () => {
    expect(await catalog.environmentStatus(project, main, "inactive")).toBe("inactive");
    expect(await catalog.environmentStatus(project, main, "active")).toBe("inactive");
    await catalog.setEnvironmentStatus(project, main, "active");
    expect(await catalog.environmentStatus(project, main, "inactive")).toBe("active");
  });

  test("calls at once do not disturb each other", async () => {
    const backups = Array.from({ length: 40 }, (_, n) => backupAt(new Date(n)));
    await Promise.all(backups.map((backup) => catalog.insert(backup)));
    const found = await Promise.all(backups.map(({ id }) => catalog.get(project, id)));
    expect(found).toEqual(backups);
  });

  test("is made once by several processes at once, and keeps what all of them write", async () => {
    const shared = places.fresh(kind);
    const script = join(places.folder(), `writer-${kind}.ts`);
    const backup = backupAt(new Date(1000));
    await writeFile(
      script,
      `import { openCatalog } from ${JSON.stringify(join(import.meta.dirname, "open-catalog.ts"))};
       import { newBackupId, systemClock } from ${JSON.stringify(join(import.meta.dirname, "../../base/index.ts"))};
       const catalog = await openCatalog(${JSON.stringify(shared)}, { clock: systemClock, timeoutMs: 60_000 });
       const backup = ${JSON.stringify(backup)};
       for (let n = 0; n < 25; n += 1) await catalog.insert({ ...backup, id: newBackupId(),
         createdAt: new Date(n), updatedAt: new Date(n), expiresAt: null });
       await catalog.close();`,
    );
    const run = promisify(execFile);
    await Promise.all([1, 2, 3, 4].map(() => run(process.execPath, [script])));
    await using all = disposing(await openCatalog(shared, { clock }));
    expect(await all.catalog.list(project)).toHaveLength(100);
  }, 60_000);

  test("refuses what a newer program wrote", async () => {
    places.sql(place, kind === "sqlite" ? "PRAGMA user_version = 99" : "UPDATE catalog_version SET version = 99");
    const failure = await failureOf(openCatalog(place, { clock }));
    expect(failure.message).toMatch(/^The catalog .* is of version 99; this program knows versions up to \d+\.$/);
    expect(failure.message).not.toContain("secret");
  });

  test("can be closed twice", async () => {
    await catalog.close();
    await catalog.close();
  });
});

describe("the catalog in an SQLite file", () => {
  test("keeps its files from other users", async () => {
    const file = join(places.folder(), "modes.db");
    await using opened = disposing(await openCatalog({ file }, { clock }));
    await opened.catalog.insert(backupAt(new Date(1000)));
    for (const suffix of ["", "-wal", "-shm"]) {
      expect((await stat(file + suffix)).mode & 0o777, `catalog.db${suffix}`).toBe(0o600);
    }
  });

  test("is what the program wrote before it knew Kysely", async () => {
    const file = join(places.folder(), "before.db");
    const id = newBackupId();
    places.sql(
      { file },
      `CREATE TABLE backups (project TEXT NOT NULL, id TEXT NOT NULL, environment TEXT NOT NULL, created_at INTEGER NOT NULL,
         updated_at INTEGER NOT NULL, status TEXT NOT NULL CHECK (status IN ('CREATED', 'DELETING')), record TEXT NOT NULL,
         PRIMARY KEY (project, id)) STRICT, WITHOUT ROWID;
       CREATE INDEX backups_by_environment ON backups (project, environment, created_at DESC, id DESC);
       CREATE INDEX backups_by_time ON backups (project, created_at DESC, id DESC);
       CREATE TABLE environments (project TEXT NOT NULL, id TEXT NOT NULL, status TEXT NOT NULL, updated_at INTEGER NOT NULL,
         PRIMARY KEY (project, id)) STRICT, WITHOUT ROWID;
       INSERT INTO backups VALUES ('shop', '${id}', 'main', 1000, 2000, 'CREATED',
         '{"id":"${id}","createdAt":{"$date":1000},"updatedAt":{"$date":1000},"status":"CREATED"}');
       INSERT INTO environments VALUES ('shop', 'main', 'paused', 1000);
       PRAGMA user_version = 1;`,
    );
    await using opened = disposing(await openCatalog({ file }, { clock }));
    expect(await opened.catalog.list(project)).toEqual([
      { id, createdAt: new Date(1000), updatedAt: new Date(2000), status: "CREATED" },
    ]);
    expect(await opened.catalog.environmentStatus(project, main, "active")).toBe("paused");
  });

  test("waits for another process's write no longer than it may, and then says so", async () => {
    const file = join(places.folder(), "busy.db");
    await using impatient = disposing(await openCatalog({ file }, { clock, timeoutMs: 30 }));
    const other = new DatabaseSync(file);
    try {
      other.exec("BEGIN IMMEDIATE");
      const failure: unknown = await impatient.catalog.insert(backupAt(new Date(1))).catch((error: unknown) => error);
      expect(isHoldfastError(failure, "STATE_UNUSABLE")).toBe(true);
      other.exec("ROLLBACK");
      await impatient.catalog.insert(backupAt(new Date(1)));
    } finally {
      other.close();
    }
  });

  test("that is no database, or has no folder, is refused", async () => {
    const junk = join(places.folder(), "junk.db");
    await writeFile(junk, "not a database ".repeat(1000));
    expect((await failureOf(openCatalog({ file: junk }, { clock }))).message).toMatch(/cannot be used/);
    const missing = await failureOf(openCatalog({ file: join(places.folder(), "no/catalog.db") }, { clock }));
    expect(missing.message).toMatch(/cannot be used/);
    expect(missing.remedy).toContain("holdfast init");
  });
});

const databaseOf = (place: CatalogPlace): string => ("url" in place ? new URL(place.url).pathname.slice(1) : "");

describe("the catalog on a PostgreSQL server", () => {
  test("waits no longer than it may, what it gave up does not happen later, and it goes on when it can", async () => {
    const place = places.fresh("postgresql");
    await using opened = disposing(await openCatalog(place, { clock, timeoutMs: 3000 }));
    const backup = backupAt(new Date(1));
    await opened.catalog.insert(backup);
    const holder = places
      .server()
      .run(databaseOf(place), "BEGIN; LOCK TABLE backups; SELECT 'locked'; SELECT pg_sleep(3600);");
    const ended = holder.done.catch(() => undefined);
    while (!holder.output().includes("locked")) await new Promise((resolve) => setImmediate(resolve));
    const failure = await failureOf(opened.catalog.remove(project, backup.id));
    expect(failure.code).toBe("STATE_UNUSABLE");
    expect(failure.message).toContain("statement timeout");
    await holder.kill();
    await ended;
    expect(await opened.catalog.get(project, backup.id)).toEqual(backup);
  }, 60_000);

  test("goes on after the server broke its connections", async () => {
    const place = places.fresh("postgresql");
    await using opened = disposing(await openCatalog(place, { clock }));
    const backup = backupAt(new Date(1));
    await opened.catalog.insert(backup);
    places.sql(
      { url: places.server().url("postgres") },
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${databaseOf(place)}'`,
    );
    // The first call may still meet the broken connection; it says so, and the next one has a new connection.
    await opened.catalog.get(project, backup.id).catch((error: unknown) => {
      if (!isHoldfastError(error, "STATE_UNUSABLE")) throw error;
    });
    expect(await opened.catalog.get(project, backup.id)).toEqual(backup);
  });

  test("that is not there, or refuses the password, is told without the password", async () => {
    const url = new URL(places.server().url("postgres"));
    url.password = "wrong-one";
    const refused = await failureOf(openCatalog({ url: url.href }, { clock }));
    expect(refused.message).toMatch(
      /^The catalog postgresql:\/\/127\.0\.0\.1:\d+\/postgres cannot be used: password authentication failed/,
    );
    url.port = "1";
    const absent = await failureOf(openCatalog({ url: url.href }, { clock }));
    expect(absent.message).toMatch(/cannot be used: connect ECONNREFUSED/);
    expect(JSON.stringify([refused.message, refused.facts, absent.message, absent.facts])).not.toContain("wrong-one");
  });
});

const disposing = (catalog: OpenCatalog): AsyncDisposable & { readonly catalog: OpenCatalog } => ({
  catalog,
  [Symbol.asyncDispose]: () => catalog.close(),
});
