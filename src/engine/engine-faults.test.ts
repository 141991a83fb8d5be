import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type BackupId,
  type EnvironmentId,
  HoldfastError,
  newBackupId,
  newOperationId,
  type OperationId,
  type ProjectId,
  silentLogger,
  systemClock,
} from "../base/index.ts";
import type { Gateway, Hold } from "../gateway/index.ts";
import { createRepository, openRepository, type Repository } from "../repository/index.ts";
import { MemoryBackend } from "../storage/index.ts";
import type { Backup } from "./catalog.ts";
import { type AtVerb, FileComponent, type Verb } from "./conformance/file-component.ts";
import { MemoryCatalog } from "./conformance/memory-catalog.ts";
import { createBackup } from "./create-backup.ts";
import type { EngineContext, Environment } from "./environment.ts";
import type { EngineEvent } from "./events.ts";
import { type JournalRecord, OperationFolder, type OperationKind } from "./journal.ts";
import { restoreBackup } from "./restore-backup.ts";

const project = "shop" as ProjectId;
const main = "main" as EnvironmentId;

class FlagGateway implements Gateway {
  held = false;

  async hold(): Promise<Hold> {
    this.held = true;
    return {
      lost: new AbortController().signal,
      release: async () => {
        this.held = false;
        return { drainMs: 1, heldMs: 2, requestsHeld: 3, longestWaitMs: 4, requestsFailed: 0 };
      },
    };
  }

  async assertReachable(): Promise<void> {}

  async releaseAbandoned(): Promise<void> {}
}

let folder: string;
let repository: Repository;
let catalog: MemoryCatalog;
let gateway: FlagGateway;
let events: EngineEvent[];
let at: AtVerb;
let components: FileComponent[];

const stateDirectory = (): string => join(folder, "state");
const hookLog = (): string => join(folder, "hooks.log");
const hook = (text: string): string[][] => [["sh", "-c", `echo ${text} >> ${hookLog()}`]];
const ranHooks = (): string => readFileSync(hookLog(), "utf8");
const state = (): (string | undefined)[] => components.map(({ data }) => data);
const leftovers = (): string[] => [
  ...readdirSync(join(folder, "data")).filter((name) => !["a", "b"].includes(name)),
  ...readdirSync(join(stateDirectory(), "operations")),
];

const context = (): EngineContext => ({
  repository,
  catalog,
  stateDirectory: stateDirectory(),
  hostname: "test",
  clock: systemClock,
  log: silentLogger,
  signal: new AbortController().signal,
  onEvent: (event) => void events.push(event),
});

function environment(hooks: Partial<Environment["hooks"]> = {}): Environment {
  return {
    project,
    id: main,
    type: "production",
    manualCount: undefined,
    status: "active",
    components,
    gateway,
    drainTimeoutMs: 1000,
    holdTimeoutMs: 3000,
    hooks: { beforeHold: [], afterRelease: [], beforeRestore: [], afterRestore: [], ...hooks },
  };
}

function failAt(name: string, verb: Verb, when: "before" | "after"): void {
  at = (source, atVerb, atWhen) => {
    if (source === `service:${name}` && atVerb === verb && atWhen === when) {
      throw new HoldfastError("COMMAND_FAILED", `planted at ${verb}`);
    }
  };
}

/** What a process leaves that is killed after these steps. */
function leaveJournal(kind: OperationKind, backup: BackupId, steps: readonly JournalRecord[]): OperationId {
  const operation = newOperationId();
  const left = OperationFolder.begin(stateDirectory(), {
    step: "begin",
    operation,
    kind,
    project,
    environment: main,
    backup,
    components: components.map(({ id: source }) => ({ source })),
    at: new Date().toISOString(),
  });
  for (const step of steps) left.record(step);
  return operation;
}

const warnings = (): string[] => events.flatMap((event) => (event.type === "warning" ? [event.warning.kind] : []));
const outcomes = (): string[] => events.flatMap((event) => (event.type === "recovered" ? [event.outcome] : []));

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-faults-"));
  mkdirSync(join(folder, "data"));
  at = () => undefined;
  components = ["a", "b"].map(
    (name) => new FileComponent(join(folder, "data"), name, (source, verb, when) => at(source, verb, when)),
  );
  for (const component of components) component.data = `${component.id} at first`;
  const backend = new MemoryBackend();
  await createRepository(backend, { password: "correct horse" });
  repository = await openRepository(backend, { password: "correct horse", workers: 1 });
  catalog = new MemoryCatalog();
  gateway = new FlagGateway();
  events = [];
});

afterEach(async () => {
  await repository.close();
  rmSync(folder, { recursive: true, force: true });
});

describe("a journal", () => {
  it("keeps no half record when the disk is full, so that what comes later can be read", () => {
    const operation = leaveJournal("restore", newBackupId(), [{ step: "stage" }]);
    const script = `
      import { OperationFolder } from ${JSON.stringify(join(import.meta.dirname, "journal.ts"))};
      const folder = OperationFolder.at(${JSON.stringify(stateDirectory())}, ${JSON.stringify(operation)});
      let code = "none";
      try { folder.record({ step: "snapshot", snapshot: "x".repeat(9000) }); } catch (error) { code = error.code; }
      folder.record({ step: "swap" });
      process.stdout.write(code);`;
    // Past the limit the kernel writes what fits and refuses the rest, as a full disk does.
    const limited = 'ulimit -f 4 && exec "$0" --input-type=module -e "$1"';
    const { stdout, stderr } = spawnSync("sh", ["-c", limited, process.execPath, script], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(stdout).toBe("STATE_UNUSABLE");
    const left = OperationFolder.at(stateDirectory(), operation).records();
    expect(left.map(({ step }) => step)).toEqual(["begin", "stage", "swap"]);
  });

  it("has its place only once its first record is durable: others may remove a folder without one", () => {
    leaveJournal("backup", newBackupId(), []);
    const before = readdirSync(join(stateDirectory(), "operations"));
    const begin = { step: "begin", operation: newOperationId(), kind: "backup", project, environment: main };
    const script = `
      import { OperationFolder } from ${JSON.stringify(join(import.meta.dirname, "journal.ts"))};
      try { OperationFolder.begin(${JSON.stringify(stateDirectory())}, ${JSON.stringify(begin)}); }
      catch (error) { process.stdout.write(error.code); }`;
    const limited = 'ulimit -f 0 && exec "$0" --input-type=module -e "$1" 2>&1';
    const { stdout } = spawnSync("sh", ["-c", limited, process.execPath, script], { encoding: "utf8" });
    expect(stdout).toBe("STATE_UNUSABLE");
    expect(readdirSync(join(stateDirectory(), "operations"))).toEqual(before);
  });
});

describe("a backup", () => {
  it("that is complete stays one when a source does not let go", async () => {
    let calls = 0;
    at = (source, verb) => {
      // The first call, after the reading, is let through.
      if (source === "service:a" && verb === "dispose" && (calls += 1) > 1) throw new Error("planted at dispose");
    };
    const backup = await createBackup(context(), environment(), { live: true });
    expect(catalog.rows.has(backup.id)).toBe(true);
    expect(backup.warnings.map(({ kind }) => kind)).toEqual(["not-let-go"]);
    expect(leftovers()).toEqual([]);
  });

  it("tells its first failure, not what failed while it let go, and closes what it opened", async () => {
    at = (source, verb) => {
      if (source === "service:a" && verb === "freeze") throw new Error("planted at freeze");
      if (source === "service:b" && verb === "dispose") throw new Error("planted at dispose");
    };
    const run = createBackup(context(), environment(), { live: false });
    await expect(run).rejects.toThrow("planted at freeze");
    expect((await repository.locks()).length).toBe(0);
  });

  it("is there, with a warning, when the hook after the release fails; a failure before is not hidden by it", async () => {
    const hooks = { afterRelease: [["false"]] };
    const backup = await createBackup(context(), environment(hooks), { live: false });
    expect(backup.warnings.map(({ kind }) => kind)).toEqual(["hook-failed"]);
    failAt("a", "freeze", "before");
    const run = createBackup(context(), environment(hooks), { live: false });
    await expect(run).rejects.toThrow("planted at freeze");
  });

  it("killed between its hooks has the last one run by recovery, and not once it has run", async () => {
    leaveJournal("backup", newBackupId(), [{ step: "prepare" }, { step: "hold" }]);
    const hooks = { afterRelease: hook("after") };
    await createBackup(context(), environment(hooks), { live: true });
    expect(ranHooks()).toBe("after\n");
    leaveJournal("backup", newBackupId(), [{ step: "prepare" }, { step: "hold" }, { step: "store" }]);
    await createBackup(context(), environment(hooks), { live: true });
    expect(ranHooks()).toBe("after\n");
  });
});

describe("a restore", () => {
  let backup: Backup;

  beforeEach(async () => {
    backup = await createBackup(context(), environment(), { live: false });
    for (const component of components) component.data = `${component.id} later`;
  });

  it("runs the hook after it also when it fails, once all is as it was", async () => {
    const hooks = { beforeRestore: hook("before"), afterRestore: hook("after") };
    failAt("b", "swap", "after");
    const run = restoreBackup(context(), environment(hooks), { backup: backup.id });
    await expect(run).rejects.toThrow("planted at swap");
    expect(ranHooks()).toBe("before\nafter\n");
    expect(leftovers()).toEqual([]);
  });

  it("is complete, with a warning, when the hook after it fails", async () => {
    const report = await restoreBackup(context(), environment({ afterRestore: [["false"]] }), { backup: backup.id });
    expect(report.warnings.map(({ kind }) => kind)).toEqual(["hook-failed"]);
    expect(state()).toEqual(["service:a at first", "service:b at first"]);
  });

  it("killed after its first hook has the last one run by recovery", async () => {
    leaveJournal("restore", backup.id, [{ step: "stage" }]);
    await createBackup(context(), environment({ afterRestore: hook("after") }), { live: true });
    expect(ranHooks()).toBe("after\n");
  });

  it("is undone inside the hold when its point of no return cannot be recorded", async () => {
    const before = state();
    const heldAtSwapBack: boolean[] = [];
    const heldAtRevert: boolean[] = [];
    at = (source, verb, when) => {
      if (verb === "swapBack") heldAtSwapBack.push(gateway.held);
      if (verb === "revert") heldAtRevert.push(gateway.held);
      if (source !== "service:b" || verb !== "swap" || when !== "after") return;
      const operations = join(stateDirectory(), "operations");
      const journal = join(operations, readdirSync(operations)[0] ?? "", "journal.ndjson");
      rmSync(journal);
      symlinkSync("/dev/full", journal);
    };
    const run = restoreBackup(context(), environment(), { backup: backup.id });
    await expect(run).rejects.toMatchObject({ code: "STATE_UNUSABLE" });
    expect(heldAtSwapBack).toEqual([true, true, true, true]);
    expect(heldAtRevert).toEqual([false, false, false, false]);
    expect(state()).toEqual(before);
  });

  it("is complete, with a warning, when old data cannot be dropped; the next operation drops it", async () => {
    failAt("a", "settle", "before");
    const report = await restoreBackup(context(), environment(), { backup: backup.id });
    expect(report.warnings).toMatchObject([{ kind: "old-data-stays", source: "service:a" }]);
    expect(state()).toEqual(["service:a at first", "service:b at first"]);
    at = () => undefined;
    await createBackup(context(), environment(), { live: true });
    expect(outcomes()).toEqual([`finished: restored to ${backup.id}`]);
    expect(leftovers()).toEqual([]);
  });

  it("of a part that the backup does not have, or outside its component, begins nothing", async () => {
    const verbs: string[] = [];
    at = (_source, verb) => void verbs.push(verb);
    const source = components[0]?.id;
    if (source === undefined) throw new TypeError("no component");
    const restore = (path: string) =>
      restoreBackup(context(), environment(), { backup: backup.id, only: [{ source, path }] });
    await expect(restore("no/such")).rejects.toMatchObject({ code: "SOURCE_NOT_FOUND" });
    await expect(restore("../b/data")).rejects.toMatchObject({ code: "INPUT_INVALID" });
    expect(verbs).toEqual([]);
  });

  it("finishes a deletion that was killed, also while others read the repository", async () => {
    const other = await createBackup(context(), environment(), { live: true });
    await catalog.setStatus(project, other.id, "DELETING");
    leaveJournal("delete", other.id, []);
    await using reader = await readerOf(repository);
    expect(reader.open).toBe(true);
    await restoreBackup(context(), environment(), { backup: backup.id });
    expect(outcomes()[0]).toBe("deletion finished");
    expect(catalog.rows.has(other.id)).toBe(false);
    expect((await repository.snapshots()).filter(({ tags }) => tags.includes(`backup:${other.id}`))).toEqual([]);
    expect(warnings()).toEqual([]);
  });
});

async function readerOf(opened: Repository): Promise<AsyncDisposable & { readonly open: boolean }> {
  const reader = await opened.reader();
  return { open: true, [Symbol.asyncDispose]: () => reader.close() };
}
