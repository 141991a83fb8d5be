import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import type { Entry, StoredEntry } from "../entry.ts";
import {
  digests,
  makeTestContext,
  type MemoryBackup,
  restorable,
  storeEntries,
  takeBackup,
  type TestContext,
} from "./backup-in-memory.ts";
import type { ComponentFactory, ComponentUnderTest, Load } from "./component-under-test.ts";

const timeoutMs = 60_000;
const schedulingMs = 3_000;
const swapDeadlineMs = 10_000;

/** What every source and target must do, as tests. Call it at the top level of a test file. */
export function describeComponent(name: string, factory: ComponentFactory): void {
  describe(`${name} as a component`, { timeout: timeoutMs }, () => {
    let component: ComponentUnderTest;
    beforeEach(async () => {
      component = await factory();
      await component.mutate(1);
    }, timeoutMs);
    afterEach(async () => component.dispose(), timeoutMs);

    describeSource(() => component);
    describeTarget(() => component);
  });
}

function describeSource(current: () => ComponentUnderTest): void {
  it("yields the state at the freeze point, whatever is written afterwards", async () => {
    const component = current();
    let frozen = "";
    const backup = await takeBackup(component.source(), {
      // A change between prepare and freeze belongs to the backup, however much was stored ahead.
      afterPrepare: async () => {
        await component.mutate(2);
        frozen = await component.liveState();
      },
      afterFreeze: () => component.mutate(3),
    });
    expect(await component.liveState()).not.toBe(frozen);
    await restore(component, backup);
    expect(await component.liveState()).toBe(frozen);
    expect(await component.leftovers()).toEqual([]);
  });

  it("holds every record acknowledged before the freeze, and none begun after it, under load", async () => {
    const component = current();
    const load = await component.startLoad();
    let before = 0;
    let after = 0;
    let backup: MemoryBackup;
    try {
      await advance(load, 5);
      backup = await takeBackup(component.source(), {
        afterPrepare: async () => {
          await advance(load, 5);
          before = load.acknowledged();
        },
        afterFreeze: async () => {
          after = load.acknowledged();
          await advance(load, 5);
        },
      });
    } finally {
      await load.stop();
    }
    await restore(component, backup);
    const records = await component.loadRecords();
    const present = new Set(records);
    expect(Array.from({ length: before }, (_, at) => at + 1).filter((record) => !present.has(record))).toEqual([]);
    // One more than the acknowledged may have been under way when freeze returned.
    expect(records.filter((record) => record > after + 1)).toEqual([]);
    expect(records).toEqual(component.atomicFreeze ? records.map((_, at) => at + 1) : records);
  });

  it("yields the same bytes for the same state", async () => {
    const component = current();
    const first = await takeBackup(component.source());
    const second = await takeBackup(component.source());
    expect(await digests(second)).toEqual(await digests(first));
    expect(second.description.counts).toEqual(first.description.counts);
    expect(second.description.fingerprints).toEqual(first.description.fingerprints);
    expect(Object.keys(await digests(first)).length).toBeGreaterThan(1);
  });

  it("restores to a state that is backed up as the same bytes again", async () => {
    const component = current();
    const first = await takeBackup(component.source());
    await component.mutate(2);
    await restore(component, first);
    const second = await takeBackup(component.source());
    expect(await digests(second)).toEqual(await digests(first));
    expect(second.description.counts).toEqual(first.description.counts);
  });

  it("freezes within its deadline or gives up, and leaves nothing locked either way", async () => {
    const component = current();
    for (const deadlineMs of [5000, 1]) {
      const source = component.source();
      await using context = await makeTestContext();
      try {
        await source.prepare(context);
        const startedAt = performance.now();
        const outcome = await source.freeze(deadlineMs).then(
          (point) => point,
          (error: unknown) => {
            if (!isHoldfastError(error, "FREEZE_FAILED")) throw error;
            return undefined;
          },
        );
        // The machine of the tests is busy: so much more is scheduling, not waiting, which has no end.
        expect(performance.now() - startedAt).toBeLessThan(deadlineMs + schedulingMs);
        // Only one millisecond is too short for anyone.
        expect(deadlineMs === 1 || outcome !== undefined).toBe(true);
        expect(outcome?.durationMs ?? 0).toBeLessThan(deadlineMs + schedulingMs);
        await component.mutate(deadlineMs);
      } finally {
        await source.dispose();
      }
      expect(await component.leftovers()).toEqual([]);
    }
  });

  it("stops with INTERRUPTED when reading is aborted, and leaves nothing", async () => {
    const component = current();
    const source = component.source();
    await using context = await makeTestContext();
    try {
      await source.prepare(context);
      await source.freeze(5000);
      const abort = new AbortController();
      abort.abort();
      const reading = storeEntries(source.read(abort.signal), context.contents, abort.signal);
      await expect(reading).rejects.toMatchObject({ code: "INTERRUPTED" });
    } finally {
      await source.dispose();
    }
    expect(await component.leftovers()).toEqual([]);
    await component.mutate(4);
  });

  it("lets go of everything when the reader leaves halfway, and when disposed of at any point and again", async () => {
    const component = current();
    const untouched = component.source();
    await untouched.dispose();
    for (const stopAfter of ["prepare", "freeze", "read"]) {
      const source = component.source();
      await using context = await makeTestContext();
      await source.prepare(context);
      if (stopAfter !== "prepare") await source.freeze(5000);
      if (stopAfter === "read") await readPartly(source.read(context.signal));
      await source.dispose();
      await source.dispose();
      expect(await component.leftovers(), `disposed of after ${stopAfter}`).toEqual([]);
      await component.mutate(5);
    }
  });

  it("recovers on a new instance after a crash, twice, and with nothing to recover", async () => {
    const component = current();
    await using context = await makeTestContext();
    await component.source().recover(context);
    const dead = component.source();
    await dead.prepare(context);
    await dead.freeze(5000);
    await component.source().recover(context);
    await component.source().recover(context);
    await component.mutate(6);
    await dead.dispose();
    expect(await component.leftovers()).toEqual([]);
    await takeBackup(component.source());
  });
}

function describeTarget(current: () => ComponentUnderTest): void {
  it("stages without any effect that a client notices", async () => {
    const component = current();
    const backup = await takeBackup(component.source());
    await component.mutate(2);
    const before = await component.liveState();
    await using context = await makeTestContext({ contents: backup.contents });
    const load = await component.startLoad();
    try {
      await advance(load, 3);
      await component.target().stage(context, restorable(backup));
      await advance(load, 3);
    } finally {
      await load.stop();
    }
    expect(await component.liveState()).toBe(before);
    await component.target().revert(context);
    expect(await component.liveState()).toBe(before);
    expect(await component.leftovers()).toEqual([]);
  });

  it("shows the backup's state after swap, also where the data was destroyed, and leaves nothing after settle", async () => {
    const component = current();
    const wanted = await component.liveState();
    const backup = await takeBackup(component.source());
    await component.destroyData();
    expect(await component.liveState()).not.toBe(wanted);
    await using context = await makeTestContext({ contents: backup.contents });
    const target = component.target();
    await target.stage(context, restorable(backup));
    const startedAt = performance.now();
    const report = await target.swap(context, swapDeadlineMs);
    expect(performance.now() - startedAt).toBeLessThan(swapDeadlineMs);
    expect(report.durationMs).toBeLessThan(swapDeadlineMs);
    expect(await component.liveState()).toBe(wanted);
    await target.settle(context);
    expect(await component.liveState()).toBe(wanted);
    expect(await component.leftovers()).toEqual([]);
    await component.mutate(7);
  });

  it("takes each call twice", async () => {
    const component = current();
    const wanted = await component.liveState();
    const backup = await takeBackup(component.source());
    await component.mutate(2);
    await using context = await makeTestContext({ contents: backup.contents });
    const target = component.target();
    await target.stage(context, restorable(backup));
    await target.stage(context, restorable(backup));
    await target.swap(context, swapDeadlineMs);
    await target.swap(context, swapDeadlineMs);
    expect(await component.liveState()).toBe(wanted);
    await target.settle(context);
    await target.settle(context);
    expect(await component.liveState()).toBe(wanted);
    expect(await component.leftovers()).toEqual([]);
  });

  for (const reached of ["nothing", "stage", "swap"] as const) {
    it(`reverts on a new instance after ${reached}, twice: the old data is live, nothing is left`, async () => {
      const component = current();
      const backup = await takeBackup(component.source());
      await component.mutate(2);
      const before = await component.liveState();
      await using context = await makeTestContext({ contents: backup.contents });
      await advanceTo(reached, component, context, backup);
      await component.target().revert(context);
      expect(await component.liveState()).toBe(before);
      await component.target().revert(context);
      expect(await component.liveState()).toBe(before);
      expect(await component.leftovers()).toEqual([]);
      await component.mutate(8);
    });
  }

  for (const reached of ["nothing", "stage", "swap"] as const) {
    it(`swaps back on a new instance after ${reached}: what clients write then stays, also after revert`, async () => {
      const component = current();
      const backup = await takeBackup(component.source());
      await component.mutate(2);
      const before = await component.liveState();
      await using context = await makeTestContext({ contents: backup.contents });
      await advanceTo(reached, component, context, backup);
      await component.target().swapBack(context);
      expect(await component.liveState()).toBe(before);
      await component.mutate(8);
      const written = await component.liveState();
      expect(written).not.toBe(before);
      await component.target().swapBack(context);
      expect(await component.liveState()).toBe(written);
      await component.target().revert(context);
      expect(await component.liveState()).toBe(written);
      expect(await component.leftovers()).toEqual([]);
    });
  }

  it("settles on a new instance, twice: only the new data is left", async () => {
    const component = current();
    const wanted = await component.liveState();
    const backup = await takeBackup(component.source());
    await component.mutate(2);
    await using context = await makeTestContext({ contents: backup.contents });
    await advanceTo("swap", component, context, backup);
    await component.target().settle(context);
    await component.target().settle(context);
    expect(await component.liveState()).toBe(wanted);
    expect(await component.leftovers()).toEqual([]);
  });

  for (const share of [0, 0.5, 1]) {
    it(`leaves the old data and nothing else when staging is cancelled at ${share * 100} % and reverted`, async () => {
      const component = current();
      const backup = await takeBackup(component.source());
      await component.mutate(2);
      const before = await component.liveState();
      const abort = new AbortController();
      await using context = await makeTestContext({ contents: backup.contents, signal: abort.signal });
      const entries = interrupted(backup.entries, share, () => abort.abort());
      const staging = component.target().stage(context, { description: backup.description, entries });
      await expect(staging).rejects.toMatchObject({ code: "INTERRUPTED" });
      await component.target().revert(context);
      expect(await component.liveState()).toBe(before);
      expect(await component.leftovers()).toEqual([]);
    });
  }

  it("passes on the repository's error while staging, and reverts", async () => {
    const component = current();
    const backup = await takeBackup(component.source());
    await component.mutate(2);
    const before = await component.liveState();
    await using context = await makeTestContext({ contents: backup.contents });
    const entries = interrupted(backup.entries, 0.5, () => {
      throw new HoldfastError("REPOSITORY_DAMAGED", "A tree is missing.");
    });
    const staging = component.target().stage(context, { description: backup.description, entries });
    await expect(staging).rejects.toMatchObject({ code: "REPOSITORY_DAMAGED" });
    await component.target().revert(context);
    expect(await component.liveState()).toBe(before);
    expect(await component.leftovers()).toEqual([]);
  });
}

/** Stages, swaps and settles, as the engine does. */
async function restore(component: ComponentUnderTest, backup: MemoryBackup): Promise<void> {
  await using context = await makeTestContext({ contents: backup.contents });
  const target = component.target();
  await target.stage(context, restorable(backup));
  await target.swap(context, swapDeadlineMs);
  await target.settle(context);
}

async function advanceTo(
  reached: "nothing" | "stage" | "swap",
  component: ComponentUnderTest,
  context: TestContext,
  backup: MemoryBackup,
): Promise<void> {
  if (reached === "nothing") return;
  const target = component.target();
  await target.stage(context, restorable(backup));
  if (reached === "swap") await target.swap(context, swapDeadlineMs);
}

/** Waits until the load has written `count` records more. */
async function advance(load: Load, count: number): Promise<void> {
  const goal = load.acknowledged() + count;
  await expect.poll(() => load.acknowledged() >= goal, { timeout: 15_000, interval: 5 }).toBe(true);
}

/** Takes up to half of what a source yields, the first bytes of a stream, and leaves. */
async function readPartly(entries: AsyncIterable<Entry>): Promise<void> {
  let files = 0;
  for await (const { content } of entries) {
    if (content === undefined) continue;
    files += 1;
    if (content.kind === "stream") {
      for await (const chunk of content.open(new AbortController().signal)) if (chunk.length > 0) break;
    }
    if (files === 2) break;
  }
}

/** The entries, with something happening when this share of them has been handed out. */
async function* interrupted(
  entries: readonly StoredEntry[],
  share: number,
  happening: () => void,
): AsyncIterable<StoredEntry> {
  const at = Math.floor((entries.length - 1) * share);
  for (const [index, entry] of entries.entries()) {
    if (index === at) happening();
    yield entry;
  }
}
