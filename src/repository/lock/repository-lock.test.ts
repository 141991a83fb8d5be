import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { hostname } from "node:os";
import { beforeEach, describe, expect, it } from "vitest";
import { FaultyBackend, MemoryBackend } from "../../storage/index.ts";
import { HoldfastError } from "../../base/index.ts";
import { Sealer } from "../crypto/envelope.ts";
import type { HexId } from "../repository.ts";
import { UnpackedFiles } from "../unpacked-files.ts";
import { clockAllowanceMs, listLocks } from "./lock-list.ts";
import { isRunning, machineId, mayBeRunning, processStartTicks } from "./process-alive.ts";
import { acquireLock, type RepositoryLock } from "./repository-lock.ts";

const sealer = new Sealer({ encrypt: randomBytes(32), macK: randomBytes(16), macR: randomBytes(16) });
const impatient = { waitMs: 0 };

describe("locks", () => {
  let backend: MemoryBackend;
  let files: UnpackedFiles;

  beforeEach(() => {
    backend = new MemoryBackend();
    files = new UnpackedFiles(backend, sealer);
  });

  const shared = (): Promise<RepositoryLock> => acquireLock(files, { exclusive: false, timing: impatient });
  const exclusive = (): Promise<RepositoryLock> => acquireLock(files, { exclusive: true, timing: impatient });
  const foreign = (time: Date, more: Record<string, unknown> = {}): Promise<HexId> =>
    files.save(
      "lock",
      JSON.stringify({
        time: time.toISOString(),
        exclusive: true,
        hostname: "elsewhere",
        username: "u",
        pid: 1,
        ...more,
      }),
    );

  async function deadProcess(): Promise<number> {
    const child = spawn(process.execPath, ["-e", ""]);
    await once(child, "exit");
    return child.pid ?? 0;
  }

  it("are shared among many, or held by one alone", async () => {
    const one = await shared();
    const two = await shared();
    await expect(exclusive()).rejects.toMatchObject({ code: "REPOSITORY_LOCKED" });
    await one.release();
    await two.release();
    const alone = await exclusive();
    await expect(shared()).rejects.toMatchObject({ code: "REPOSITORY_LOCKED", facts: { pid: process.pid } });
    await alone.release();
    await alone.release();
    expect(await files.ids("lock")).toEqual([]);
  });

  it("leave nothing behind when refused", async () => {
    const holder = await exclusive();
    await expect(shared()).rejects.toThrow(HoldfastError);
    expect(await files.ids("lock")).toHaveLength(1);
    await holder.release();
  });

  it("are waited for a while", async () => {
    const holder = await exclusive();
    const waiting = acquireLock(files, { exclusive: false, timing: { waitMs: 10_000 } });
    await holder.release();
    await (await waiting).release();
  });

  it("never go to two that want them alone, however many try at once", async () => {
    for (let round = 0; round < 5; round += 1) {
      const results = await Promise.allSettled(Array.from({ length: 6 }, exclusive));
      const winners = results.filter((result) => result.status === "fulfilled");
      expect(winners.length).toBeLessThanOrEqual(1);
      for (const { value } of winners) await value.release();
      expect(await files.ids("lock")).toEqual([]);
    }
  });

  it("of a killed process of this host stand in nobody's way", async () => {
    await foreign(new Date(), { hostname: hostname(), pid: await deadProcess() });
    await (await exclusive()).release();
    expect(await files.ids("lock")).toEqual([]);
  });

  it("of a process whose id was given to another one since stand in nobody's way", async () => {
    await foreign(new Date(Date.now() - process.uptime() * 1000 - 5000), { hostname: hostname(), pid: process.pid });
    await (await exclusive()).release();
    await foreign(new Date(), { hostname: hostname(), pid: process.pid });
    await expect(exclusive()).rejects.toMatchObject({ code: "REPOSITORY_LOCKED" });
  });

  it("of another host count until they are 30 minutes old", async () => {
    const fresh = await foreign(new Date(Date.now() - 29 * 60_000));
    await expect(shared()).rejects.toMatchObject({
      code: "REPOSITORY_LOCKED",
      message: expect.stringContaining("u@elsewhere, process 1"),
    });
    await backend.remove({ type: "lock", name: fresh });
    await foreign(new Date(Date.now() - 31 * 60_000));
    await (await exclusive()).release();
    expect(await listLocks(files)).toMatchObject([{ stale: true, abandoned: false, hostname: "elsewhere" }]);
  });

  const leased = (
    ageMs: number,
    lease: Record<string, unknown> = {},
    more: Record<string, unknown> = {},
  ): Promise<HexId> => {
    const time = new Date(Date.now() - ageMs);
    const holdfast = { since: time.toISOString(), leaseMs: 200, work: "use", machine: "m", startTicks: 1, ...lease };
    return foreign(time, { holdfast, ...more });
  };

  it("with a lease count on another machine until it is over, seen by looking, whatever the clocks say", async () => {
    await leased(-3_600_000);
    await expect(shared()).rejects.toMatchObject({ code: "REPOSITORY_LOCKED" });
    expect(await files.ids("lock")).toHaveLength(1);
    for (const id of await files.ids("lock")) await backend.remove({ type: "lock", name: id });

    // Its clock is an hour behind or it is dead: that it stays the same tells.
    await leased(300);
    await (await exclusive()).release();
    expect(await files.ids("lock")).toEqual([]);

    await leased(clockAllowanceMs + 1000);
    await (await exclusive()).release();
    expect(await listLocks(files)).toMatchObject([{ stale: true, abandoned: false }]);
  });

  it("with a lease that is renewed stay, even if the clock of its machine is far behind", async () => {
    let id = await leased(60_000);
    let renewals = 0;
    // Each look at the locks finds a new file, as old by its own clock as the last.
    const renewing = new FaultyBackend(backend, {
      before: async (operation) => {
        if (operation !== "list") return;
        const old = id;
        id = await leased(60_000 + renewals);
        renewals += 1;
        await backend.remove({ type: "lock", name: old });
      },
    });
    const seeking = acquireLock(new UnpackedFiles(renewing, sealer), { exclusive: true, timing: impatient });
    await expect(seeking).rejects.toMatchObject({ code: "REPOSITORY_LOCKED", facts: { hostname: "elsewhere" } });
    expect(renewals).toBeGreaterThan(2);
    expect(await files.ids("lock")).toEqual([id]);
  });

  it("say which process of which machine holds them: another one's with that id is not it", async () => {
    const machine = await machineId();
    const startTicks = await processStartTicks(process.pid);
    const own = { machine, startTicks, leaseMs: 300_000 };
    await leased(0, own, { pid: process.pid });
    await expect(shared()).rejects.toMatchObject({ code: "REPOSITORY_LOCKED" });
    await backend.remove({ type: "lock", name: (await files.ids("lock"))[0] ?? "" });
    await leased(0, { ...own, startTicks: (startTicks ?? 0) + 1 }, { pid: process.pid });
    await (await exclusive()).release();
    expect(await files.ids("lock")).toEqual([]);
    // A container beside this one may have the same host name.
    await leased(0, { ...own, machine: "other" }, { pid: await deadProcess(), hostname: hostname() });
    await expect(shared()).rejects.toMatchObject({ code: "REPOSITORY_LOCKED" });
  });

  it("of one prune keep others away and no backup; its moment keeps away what is not Holdfast's", async () => {
    const timing = impatient;
    const writer = await shared();
    const prune = await acquireLock(files, { exclusive: false, work: "prune", timing });
    await expect(acquireLock(files, { exclusive: false, work: "prune", timing })).rejects.toMatchObject({
      code: "REPOSITORY_LOCKED",
    });
    await expect(exclusive()).rejects.toMatchObject({ code: "REPOSITORY_LOCKED" });
    const moment = await acquireLock(files, { exclusive: true, work: "moment", timing });
    const second = await shared();
    await moment.release();
    await foreign(new Date(), { exclusive: false });
    await expect(acquireLock(files, { exclusive: true, work: "moment", timing })).rejects.toMatchObject({
      code: "REPOSITORY_LOCKED",
    });
    for (const lock of [writer, second, prune]) await lock.release();
  });

  it("that are lost are noticed by whoever asks, before any timer", async () => {
    const lock = await acquireLock(files, { exclusive: false, timing: { lostAfterMs: -1 } });
    expect(lock.signal.aborted).toBe(false);
    expect(() => lock.confirm()).toThrow(HoldfastError);
    expect(lock.signal.aborted).toBe(true);
    await lock.release();
  });

  it("that cannot be read are respected, empty ones are not", async () => {
    await backend.save({ type: "lock", name: "00".repeat(32) }, Buffer.alloc(0));
    await (await exclusive()).release();
    await backend.save({ type: "lock", name: "01".repeat(32) }, Buffer.from("garbage"));
    await expect(shared()).rejects.toMatchObject({
      code: "REPOSITORY_LOCKED",
      message: expect.stringContaining("0101"),
    });
  });

  it("are written anew again and again, with never a moment without one", async () => {
    let removedWhileAlone = 0;
    const watched = new FaultyBackend(backend, {
      before: async (operation) => {
        if (operation === "remove" && (await files.ids("lock")).length < 2) removedWhileAlone += 1;
      },
    });
    const lock = await acquireLock(new UnpackedFiles(watched, sealer), { exclusive: true, timing: { refreshMs: 5 } });
    const seen = new Set<HexId>();
    while (seen.size < 5) {
      const ids = await files.ids("lock");
      expect(ids.length).toBeGreaterThan(0);
      for (const id of ids) seen.add(id);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(removedWhileAlone).toBe(0);
    await lock.release();
    expect(await files.ids("lock")).toEqual([]);
  });

  it("are lost when somebody removes them, which stops the work under them", async () => {
    const lock = await acquireLock(files, { exclusive: true, timing: { refreshMs: 5 } });
    const aborted = once(lock.signal, "abort");
    for (const id of await files.ids("lock")) await backend.remove({ type: "lock", name: id });
    await aborted;
    expect(lock.signal.reason).toMatchObject({
      code: "REPOSITORY_LOCKED",
      message: expect.stringContaining("removed"),
    });
    await lock.release();
  });

  it("are lost when they cannot be refreshed in time, and survive a failure that passes", async () => {
    let failing = true;
    const unreliable = new UnpackedFiles(
      new FaultyBackend(backend, {
        before: (operation) => {
          if (operation === "stat" && failing) throw new HoldfastError("STORAGE_TRANSIENT", "away");
        },
      }),
      sealer,
    );
    const timing = { refreshMs: 5, retryMs: 5, lostAfterMs: 150 };
    const lost = await acquireLock(unreliable, { exclusive: false, timing });
    await once(lost.signal, "abort");
    expect(lost.signal.reason).toMatchObject({
      code: "REPOSITORY_LOCKED",
      message: expect.stringContaining("refresh"),
    });
    await lost.release();

    const kept = await acquireLock(unreliable, { exclusive: false, timing: { ...timing, lostAfterMs: 60_000 } });
    const [before] = await files.ids("lock");
    failing = false;
    let after = before;
    while (after === before) {
      await new Promise((resolve) => setImmediate(resolve));
      [after] = await files.ids("lock");
    }
    expect(kept.signal.aborted).toBe(false);
    await kept.release();
  });

  it("are not taken by a call that was cancelled", async () => {
    const signal = AbortSignal.abort();
    await expect(acquireLock(files, { exclusive: false, signal })).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect(await files.ids("lock")).toEqual([]);
  });
});

describe("a process", () => {
  it("may be running if it exists and is older than what it wrote", async () => {
    expect(await mayBeRunning(process.pid, new Date())).toBe(true);
    expect(await mayBeRunning(process.ppid, new Date())).toBe(true);
    expect(await mayBeRunning(process.pid, new Date(0))).toBe(false);
    expect(await mayBeRunning(0, new Date())).toBe(false);
    expect(await mayBeRunning(2 ** 31 - 2, new Date())).toBe(false);
  });

  it("is told from another with its id by when it began", async () => {
    const startTicks = await processStartTicks(process.pid);
    expect(startTicks).toBeGreaterThan(0);
    expect(await isRunning(process.pid, startTicks ?? 0)).toBe(true);
    expect(await isRunning(process.pid, -1)).toBe(true);
    expect(await isRunning(process.pid, (startTicks ?? 0) - 1)).toBe(false);
    expect(await isRunning(2 ** 31 - 2, -1)).toBe(false);
  });
});
