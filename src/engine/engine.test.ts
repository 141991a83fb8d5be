import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type EnvironmentId, HoldfastError, type ProjectId, silentLogger, systemClock } from "../base/index.ts";
import { createRepository, openRepository, type Repository } from "../repository/index.ts";
import { MemoryBackend } from "../storage/index.ts";
import type { Backup } from "./catalog.ts";
import { CountingGateway, figures } from "./conformance/counting-gateway.ts";
import { type AtVerb, FileComponent, type Verb } from "./conformance/file-component.ts";
import { MemoryCatalog } from "./conformance/memory-catalog.ts";
import { createBackup } from "./create-backup.ts";
import { deleteBackup } from "./delete-backup.ts";
import { lockEnvironment } from "./environment-lock.ts";
import type { EngineContext, Environment } from "./environment.ts";
import type { EngineEvent } from "./events.ts";
import { restoreBackup } from "./restore-backup.ts";

const password = "correct horse";
let folder: string;
let repository: Repository;
let catalog: MemoryCatalog;
let gateway: CountingGateway;
let events: EngineEvent[];
let at: AtVerb;
let components: FileComponent[];
let abort: AbortController;

function context(): EngineContext {
  return {
    repository,
    catalog,
    stateDirectory: join(folder, "state"),
    hostname: "test",
    clock: systemClock,
    log: silentLogger,
    signal: abort.signal,
    onEvent: (event) => void events.push(event),
  };
}

function environment(changes: Partial<Environment> = {}): Environment {
  return {
    project: "shop" as ProjectId,
    id: "main" as EnvironmentId,
    type: "production",
    manualCount: undefined,
    status: "active",
    components,
    gateway,
    drainTimeoutMs: 1000,
    holdTimeoutMs: 3000,
    hooks: { beforeHold: [], afterRelease: [], beforeRestore: [], afterRestore: [] },
    ...changes,
  };
}

const state = (): (string | undefined)[] => components.map(({ data }) => data);
const leftovers = (): string[] => [
  ...readdirSync(join(folder, "data")).filter((name) => !["a", "b", "c"].includes(name)),
  ...readdirSync(join(folder, "state", "operations")),
];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-engine-"));
  const { mkdirSync } = await import("node:fs");
  mkdirSync(join(folder, "data"));
  at = () => undefined;
  components = ["a", "b", "c"].map(
    (name) => new FileComponent(join(folder, "data"), name, (source, verb, when) => at(source, verb, when)),
  );
  for (const component of components) component.data = `${component.id} at first`;
  const backend = new MemoryBackend();
  await createRepository(backend, { password });
  repository = await openRepository(backend, { password, workers: 1 });
  catalog = new MemoryCatalog();
  gateway = new CountingGateway();
  events = [];
  abort = new AbortController();
});

afterEach(async () => {
  await repository.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Fails, or does something else, at one verb of one component. */
function failAt(name: string, verb: Verb, when: "before" | "after"): void {
  at = (source, atVerb, atWhen) => {
    if (source === `service:${name}` && atVerb === verb && atWhen === when) {
      throw new HoldfastError("COMMAND_FAILED", `planted at ${verb}`);
    }
  };
}

describe("a backup", () => {
  it("freezes every component inside one hold and restores whole", async () => {
    const heldAtFreeze: boolean[] = [];
    at = (_source, verb) => {
      if (verb === "freeze") heldAtFreeze.push(gateway.held);
      if (verb === "read" || verb === "prepare") expect(gateway.held).toBe(false);
    };
    const backup = await createBackup(context(), environment(), { live: false });
    expect(heldAtFreeze).toEqual([true, true, true, true, true, true]);
    expect(backup).toMatchObject({ safe: true, hold: figures, restorable: true, components: [{}, {}, {}] });
    const before = state();
    for (const component of components) component.data = "changed";
    const report = await restoreBackup(context(), environment(), { backup: backup.id });
    expect(state()).toEqual(before);
    expect(report.hold).toEqual(figures);
    expect(leftovers()).toEqual([]);
  });

  it("holds nothing when live, and records the skew", async () => {
    at = async (source, verb) => {
      if (source === "service:b" && verb === "freeze") await new Promise((resolve) => setTimeout(resolve, 20));
    };
    const backup = await createBackup(context(), environment(), { live: true });
    expect(gateway.holds).toBe(0);
    expect(backup).toMatchObject({ safe: false, hold: null });
    expect(backup.skewMs).toBeGreaterThanOrEqual(15);
  });

  it.each([
    ["prepare", "before"],
    ["freeze", "before"],
    ["freeze", "after"],
    ["read", "before"],
    ["read", "after"],
  ] as const)("that fails at %s (%s) releases, keeps nothing and says why", async (verb, when) => {
    failAt("b", verb, when);
    await expect(createBackup(context(), environment(), { live: false })).rejects.toThrow(`planted at ${verb}`);
    expect(gateway.held).toBe(false);
    expect(catalog.rows.size).toBe(0);
    expect(await repository.snapshots()).toEqual([]);
    expect(leftovers()).toEqual([]);
    expect(await repository.locks()).toEqual([]);
  });

  it("finds out that the gateway does not answer before it reads anything", async () => {
    gateway.reachable = false;
    const verbs: Verb[] = [];
    at = (_source, verb) => void verbs.push(verb);
    const unreachable = { code: "GATEWAY_UNREACHABLE" };
    await expect(createBackup(context(), environment(), { live: false })).rejects.toMatchObject(unreachable);
    expect(verbs.filter((verb) => verb !== "dispose")).toEqual([]);
    expect(leftovers()).toEqual([]);
    const backup = await createBackup(context(), environment(), { live: true });
    verbs.length = 0;
    await expect(restoreBackup(context(), environment(), { backup: backup.id })).rejects.toMatchObject(unreachable);
    expect(verbs).not.toContain("stage");
    expect(leftovers()).toEqual([]);
  });

  it("disposes of every source after a failure of one", async () => {
    const disposed = new Set<string>();
    at = (source, verb) => {
      if (verb === "dispose") disposed.add(source);
      if (source === "service:a" && verb === "freeze") throw new HoldfastError("FREEZE_FAILED", "planted");
    };
    await expect(createBackup(context(), environment(), { live: false })).rejects.toThrow("planted");
    expect([...disposed].sort()).toEqual(["service:a", "service:b", "service:c"]);
  });

  it("fails when the gateway lets go before all is frozen", async () => {
    at = async (source, verb, when) => {
      if (source !== "service:b" || verb !== "freeze" || when !== "before") return;
      gateway.lose();
      await new Promise((resolve) => setTimeout(resolve, 50));
    };
    const run = createBackup(context(), environment(), { live: false });
    await expect(run).rejects.toMatchObject({ code: "HOLD_LOST" });
    expect(catalog.rows.size).toBe(0);
  });

  it("gives up on a component that does not freeze within the hold, and names it", async () => {
    at = async (source, verb) => {
      if (source === "service:c" && verb === "freeze") await new Promise((resolve) => setTimeout(resolve, 3000));
    };
    const run = createBackup(context(), environment({ holdTimeoutMs: 700 }), { live: false });
    await expect(run).rejects.toMatchObject({ code: "FREEZE_FAILED", facts: { missing: "service:c" } });
    expect(gateway.held).toBe(false);
  });

  it("stops cleanly when it is cancelled inside the hold", async () => {
    at = async (source, verb) => {
      if (source === "service:a" && verb === "freeze") abort.abort();
    };
    const run = createBackup(context(), environment(), { live: false });
    await expect(run).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect(gateway.held).toBe(false);
    expect(leftovers()).toEqual([]);
  });

  it.each(["inactive", "paused"] as const)("is refused on an environment that is %s", async (status) => {
    const run = createBackup(context(), environment({ status }), { live: true });
    await expect(run).rejects.toMatchObject({ code: "ENVIRONMENT_INACTIVE" });
  });

  it("is refused while another operation runs on the environment", async () => {
    const lock = lockEnvironment(join(folder, "state"), environment(), { id: "other" as never, kind: "restore" });
    const run = createBackup(context(), environment(), { live: true });
    await expect(run).rejects.toMatchObject({ code: "ENVIRONMENT_BUSY", facts: { kind: "restore" } });
    lock.release();
    await createBackup(context(), environment(), { live: true });
  });

  it("past the manual count replaces the oldest, once the new one is complete", async () => {
    const two = environment({ manualCount: 2 });
    const first = await createBackup(context(), two, { live: true });
    const second = await createBackup(context(), two, { live: true });
    const automated = await createBackup(context(), two, { live: true, automated: true });
    expect(catalog.rows.size).toBe(3);
    at = (_source, verb) => {
      if (verb === "read") expect(catalog.rows.has(first.id)).toBe(true);
    };
    const third = await createBackup(context(), two, { live: true });
    expect(events).toContainEqual({ type: "replaced", backup: first.id, createdAt: first.createdAt });
    expect([...catalog.rows.keys()].sort()).toEqual([second.id, automated.id, third.id].sort());
    expect((await repository.snapshots()).map(({ id }) => id).sort()).toEqual(
      [second.snapshot, automated.snapshot, third.snapshot].sort(),
    );
  });

  it("runs hooks before the hold and after the release, also when the hold fails", async () => {
    const log = join(folder, "hooks.log");
    const hook = (text: string): string[][] => [["sh", "-c", `echo ${text} >> ${log}`]];
    const hooks = { beforeHold: hook("before"), afterRelease: hook("after"), beforeRestore: [], afterRestore: [] };
    failAt("a", "freeze", "before");
    await expect(createBackup(context(), environment({ hooks }), { live: false })).rejects.toThrow("planted");
    const { readFileSync } = await import("node:fs");
    expect(readFileSync(log, "utf8")).toBe("before\nafter\n");
  });
});

describe("a restore", () => {
  let backup: Backup;

  beforeEach(async () => {
    backup = await createBackup(context(), environment(), { live: false });
    for (const component of components) component.data = `${component.id} later`;
  });

  it.each([
    ["stage", "before"],
    ["stage", "after"],
    ["swap", "before"],
    ["swap", "after"],
  ] as const)("that fails at %s (%s) of one component leaves all of them as they were", async (verb, when) => {
    const before = state();
    failAt("b", verb, when);
    await expect(restoreBackup(context(), environment(), { backup: backup.id })).rejects.toThrow(`planted at ${verb}`);
    expect(state()).toEqual(before);
    expect(gateway.held).toBe(false);
    expect(leftovers()).toEqual([]);
  });

  it("swaps back inside the hold when one swap fails, and drops what was staged after it", async () => {
    const held: Record<string, boolean[]> = { swapBack: [], revert: [] };
    at = (source, verb, when) => {
      held[verb]?.push(gateway.held);
      if (source === "service:c" && verb === "swap" && when === "after") throw new Error("planted");
    };
    await expect(restoreBackup(context(), environment(), { backup: backup.id })).rejects.toThrow("planted");
    expect(held).toEqual({
      swapBack: [true, true, true, true, true, true],
      revert: [false, false, false, false, false, false],
    });
  });

  it("keeps the journal when undoing fails too, and the next operation undoes it", async () => {
    const before = state();
    let broken = true;
    at = (source, verb, when) => {
      if (source === "service:b" && verb === "swap" && when === "after") throw new Error("planted swap");
      const undoes = verb === "swapBack" || verb === "revert";
      if (source === "service:a" && undoes && when === "before" && broken) throw new Error("planted revert");
    };
    const run = restoreBackup(context(), environment(), { backup: backup.id });
    await expect(run).rejects.toMatchObject({ code: "RECOVERY_FAILED" });
    expect(state()).not.toEqual(before);
    broken = false;
    at = () => undefined;
    await createBackup(context(), environment(), { live: true });
    expect(state()).toEqual(before);
    expect(events).toContainEqual(expect.objectContaining({ type: "recovered" }));
    expect(leftovers()).toEqual([]);
  });

  it("has been undone by the next operation also when that took longer than requests could be held", async () => {
    const before = state();
    at = (source, verb) => {
      if (source === "service:b" && ["swap", "swapBack", "revert"].includes(verb)) throw new Error("planted");
    };
    const run = restoreBackup(context(), environment(), { backup: backup.id });
    await expect(run).rejects.toMatchObject({ code: "RECOVERY_FAILED" });
    at = (source, verb, when) => {
      if (source === "service:b" && verb === "swapBack" && when === "after") gateway.lose();
    };
    await createBackup(context(), environment(), { live: true });
    expect(state()).toEqual(before);
    expect(leftovers()).toEqual([]);
  });

  it("is undone by the next operation: swapped back under a hold, what was staged dropped after it", async () => {
    at = (source, verb) => {
      if (source === "service:b" && ["swap", "swapBack", "revert"].includes(verb)) throw new Error("planted");
    };
    const run = restoreBackup(context(), environment(), { backup: backup.id });
    await expect(run).rejects.toMatchObject({ code: "RECOVERY_FAILED" });
    const held: Record<string, boolean[]> = { swapBack: [], revert: [] };
    at = (_source, verb, when) => {
      if (when === "after") held[verb]?.push(gateway.held);
    };
    await createBackup(context(), environment(), { live: true });
    expect(held).toEqual({ swapBack: [true, true, true], revert: [false, false, false] });
  });

  it("whose component has left the configuration is undone for all others, and says what to put back", async () => {
    const before = state();
    at = (source, verb) => {
      if (source === "service:b" && ["swap", "swapBack", "revert"].includes(verb)) throw new Error("planted");
      if (source !== "service:b" && verb === "swapBack") throw new Error("planted");
    };
    const run = restoreBackup(context(), environment(), { backup: backup.id });
    await expect(run).rejects.toMatchObject({ code: "RECOVERY_FAILED" });
    at = () => undefined;
    const whole = environment();
    const without = { ...whole, components: whole.components.filter(({ id }) => id !== "service:b") };
    const next = createBackup(context(), without, { live: true });
    await expect(next).rejects.toMatchObject({
      code: "RECOVERY_FAILED",
      message: expect.stringContaining("service:b took part and is no longer in the configuration"),
      remedy: expect.stringContaining("Put service:b back into the configuration"),
    });
    await createBackup(context(), whole, { live: true });
    expect(state()).toEqual(before);
    expect(leftovers()).toEqual([]);
  });

  it("restores only what is asked for", async () => {
    await restoreBackup(context(), environment(), { backup: backup.id, only: [{ source: components[1]!.id }] });
    expect(state()).toEqual(["service:a later", "service:b at first", "service:c later"]);
  });

  it("names a component that the backup does not have", async () => {
    const only = [{ source: "service:nothing" as never }];
    const run = restoreBackup(context(), environment(), { backup: backup.id, only });
    await expect(run).rejects.toMatchObject({ code: "SOURCE_NOT_FOUND" });
  });

  it("brings back a component whose live data is gone", async () => {
    rmSync(components[0]!.file);
    await restoreBackup(context(), environment(), { backup: backup.id });
    expect(state()[0]).toBe("service:a at first");
  });

  it("finishes when the hold is lost after the last swap", async () => {
    const swapped = new Set<string>();
    at = (source, verb, when) => {
      if (verb === "swap" && when === "after") swapped.add(source);
      if (verb === "settle" && when === "before") expect(gateway.held).toBe(false);
    };
    const realRelease = gateway.hold.bind(gateway);
    gateway.hold = async () => {
      const hold = await realRelease();
      return {
        ...hold,
        release: async () => {
          gateway.lose();
          return hold.release();
        },
      };
    };
    const report = await restoreBackup(context(), environment(), { backup: backup.id });
    expect(state()).toEqual(["service:a at first", "service:b at first", "service:c at first"]);
    expect(report.warnings).toMatchObject([{ kind: "hold-lost" }]);
  });

  it("is undone when the hold is lost before all have swapped", async () => {
    const before = state();
    at = (source, verb, when) => {
      if (source === "service:b" && verb === "swap" && when === "after") gateway.lose();
    };
    const run = restoreBackup(context(), environment(), { backup: backup.id });
    await expect(run).rejects.toMatchObject({ code: "HOLD_LOST" });
    expect(state()).toEqual(before);
  });
});

describe("deleting a backup", () => {
  it("removes its snapshot and its row, and says when there is none", async () => {
    const backup = await createBackup(context(), environment(), { live: true });
    await deleteBackup(context(), environment(), backup.id);
    expect(await repository.snapshots()).toEqual([]);
    expect(catalog.rows.size).toBe(0);
    await expect(deleteBackup(context(), environment(), backup.id)).rejects.toMatchObject({ code: "BACKUP_NOT_FOUND" });
  });
});
