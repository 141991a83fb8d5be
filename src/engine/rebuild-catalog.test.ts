import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type BackupId, type EnvironmentId, type ProjectId, silentLogger, systemClock } from "../base/index.ts";
import { createRepository, openRepository, type Repository } from "../repository/index.ts";
import { MemoryBackend } from "../storage/index.ts";
import { CountingGateway } from "./conformance/counting-gateway.ts";
import { FileComponent } from "./conformance/file-component.ts";
import { MemoryCatalog } from "./conformance/memory-catalog.ts";
import { createBackup } from "./create-backup.ts";
import type { EngineContext, Environment } from "./environment.ts";
import { rebuildCatalog, type RebuildReport } from "./rebuild-catalog.ts";

const project = "shop" as ProjectId;
let folder: string;
let repository: Repository;
let catalog: MemoryCatalog;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-rebuild-"));
  mkdirSync(join(folder, "data"));
  const backend = new MemoryBackend();
  await createRepository(backend, { password: "p" });
  repository = await openRepository(backend, { password: "p", workers: 1 });
  catalog = new MemoryCatalog();
});
afterEach(async () => {
  await repository.close();
  rmSync(folder, { recursive: true });
});

async function backUp(): Promise<BackupId> {
  const component = new FileComponent(join(folder, "data"), "a");
  component.data = "something";
  const environment: Environment = {
    project,
    id: "main" as EnvironmentId,
    type: "production",
    manualCount: undefined,
    status: "active",
    components: [component],
    gateway: new CountingGateway(),
    drainTimeoutMs: 1000,
    holdTimeoutMs: 3000,
    hooks: { beforeHold: [], afterRelease: [], beforeRestore: [], afterRestore: [] },
  };
  const context: EngineContext = {
    repository,
    catalog,
    stateDirectory: join(folder, "state"),
    hostname: "test",
    clock: systemClock,
    log: silentLogger,
    signal: new AbortController().signal,
    onEvent: () => undefined,
  };
  return (await createBackup(context, environment, { live: true })).id;
}

/** `beforeInsert`: called when the snapshots are listed, and the first row is about to be written. */
function rebuild(beforeInsert: () => Promise<void> = async () => undefined): Promise<RebuildReport> {
  let isFirst = true;
  const withStates = Object.assign(Object.create(catalog) as MemoryCatalog, {
    backupStates: async () => new Map([...catalog.rows.values()].map((row) => [row.id, row])),
    insert: async (backup: Parameters<MemoryCatalog["insert"]>[0]) => {
      if (isFirst) await beforeInsert();
      isFirst = false;
      await catalog.insert(backup);
    },
  });
  return rebuildCatalog(
    {
      repository,
      catalog: withStates,
      stateDirectory: join(folder, "state"),
      signal: new AbortController().signal,
      onProgress: () => undefined,
    },
    project,
    ["main" as EnvironmentId],
  );
}

it("leaves no row of a backup that another machine deletes after the snapshots were listed", async () => {
  const ids = [await backUp(), await backUp(), await backUp()];
  const [first, second, third] = ids.map((id) => catalog.rows.get(id));
  if (first === undefined || second === undefined || third === undefined) throw new Error("no rows");
  catalog.rows.clear();
  const report = await rebuild(async () => {
    await repository.forget(first.snapshot);
    await repository.forget(third.snapshot);
  });
  expect([...catalog.rows.keys()]).toEqual([second.id]);
  expect(report).toEqual({ backups: 1, added: 1, removed: 0, unreadable: [] });
  expect(await rebuild()).toEqual({ backups: 1, added: 0, removed: 0, unreadable: [] });
});
