import { describe, expect, it } from "vitest";
import { systemClock } from "../../base/index.ts";
import { type GatedRequest, type GateHoldOptions, RequestGate } from "./request-gate.ts";

/** A gate, and what it did with the requests that it was given. */
class GateUnderTest {
  readonly gate: RequestGate;
  readonly started: GatedRequest[] = [];
  readonly refused: GatedRequest[] = [];
  readonly events: string[] = [];

  constructor(limits = { maxWaitingRequests: 1000, maxWaitingBytes: 1_000_000 }) {
    const note = (event: string) => () => this.events.push(event);
    this.gate = new RequestGate(limits, systemClock, note("closed"), note("opened"));
  }

  admit(facts: Partial<Pick<GatedRequest, "drained" | "waitingBytes" | "path">> = {}): GatedRequest {
    const request: GatedRequest = {
      method: "GET",
      path: "/",
      drained: true,
      waitingBytes: 100,
      ...facts,
      start: () => this.started.push(request),
      refuse: () => this.refused.push(request),
    };
    this.gate.admit(request);
    return request;
  }

  hold(options: Partial<GateHoldOptions> = {}): void {
    this.gate.hold({
      owner: "test",
      drainTimeoutMs: 5_000,
      holdTimeoutMs: 10_000,
      onHeld: () => this.events.push("held"),
      onDrainTimeout: () => this.events.push("drain timeout"),
      onHoldTimeout: () => this.events.push("hold timeout"),
      ...options,
    });
  }
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
};

describe("the gate of requests", () => {
  it("closes, holds and opens, in this order", async () => {
    const tested = new GateUnderTest();
    const running = tested.admit();
    tested.hold();
    expect(tested.events).toEqual(["closed"]);
    expect(tested.gate.status()).toMatchObject({ state: "draining", owner: "test", runningCount: 1 });
    tested.gate.finish(running);
    expect(tested.events).toEqual(["closed", "held"]);
    expect(tested.gate.status().state).toBe("held");
    await tested.gate.release();
    expect(tested.events).toEqual(["closed", "held", "opened"]);
    expect(tested.gate.status()).toMatchObject({ state: "open", owner: null });
  });

  it("passes waiting requests on in exact order, 16 at first, and more as they finish", async () => {
    const tested = new GateUnderTest();
    tested.hold();
    const waiting = Array.from({ length: 100 }, () => tested.admit());
    const released = tested.gate.release();
    expect(tested.started).toEqual(waiting.slice(0, 16));
    // New ones go behind those that wait.
    const late = tested.admit();
    tested.gate.finish(waiting[0] as GatedRequest);
    expect(tested.started).toEqual(waiting.slice(0, 18));
    for (let at = 1; at < waiting.length; at += 1) tested.gate.finish(waiting[at] as GatedRequest);
    expect(tested.started).toEqual([...waiting, late]);
    expect(await released).toMatchObject({ requestsHeld: 100, requestsFailed: 0 });
  });

  it("begins with as many as ran before the drain", () => {
    const tested = new GateUnderTest();
    const before = Array.from({ length: 40 }, () => tested.admit());
    tested.hold();
    for (const request of before) tested.gate.finish(request);
    const waiting = Array.from({ length: 100 }, () => tested.admit());
    void tested.gate.release();
    expect(tested.started).toEqual([...before, ...waiting.slice(0, 40)]);
    for (const request of waiting) tested.gate.finish(request);
  });

  it("passes all on in time even if the first ones never finish", async () => {
    const tested = new GateUnderTest();
    tested.hold();
    for (let n = 0; n < 100; n += 1) tested.admit();
    expect(await tested.gate.release()).toMatchObject({ requestsHeld: 100 });
    expect(tested.started).toHaveLength(100);
  });

  it("may be held again while the last of an earlier hold still wait behind others", async () => {
    const tested = new GateUnderTest();
    tested.hold();
    const waiting = Array.from({ length: 20 }, () => tested.admit());
    const first = tested.gate.release();
    const late = tested.admit();
    expect(tested.gate.owner).toBe("test");
    for (const request of waiting.slice(0, 2)) tested.gate.finish(request);
    await first;
    tested.hold({ owner: "another" });
    const startedBefore = tested.started.length;
    for (const request of waiting) tested.gate.finish(request);
    tested.gate.finish(late);
    expect(tested.started).toHaveLength(startedBefore);
    await tested.gate.release();
    expect(tested.gate.status()).toMatchObject({ state: "open", waitingCount: 0, waitingBytes: 0 });
  });

  it("refuses past the bounds, counts it, and has room again when one gives up", async () => {
    const tested = new GateUnderTest({ maxWaitingRequests: 10, maxWaitingBytes: 250 });
    tested.hold();
    const [first] = [tested.admit(), tested.admit()];
    const refused = tested.admit();
    expect(tested.refused).toEqual([refused]);
    expect(tested.gate.abandon(first)).toBe(true);
    expect(tested.gate.abandon(first)).toBe(false);
    const accepted = tested.admit();
    expect(await tested.gate.release()).toMatchObject({ requestsHeld: 3, requestsFailed: 1, requestsAbandoned: 1 });
    expect(tested.started).toContain(accepted);
  });

  it("ends a release when the last one that waited gives up", async () => {
    const tested = new GateUnderTest();
    tested.hold();
    const waiting = Array.from({ length: 17 }, () => tested.admit());
    const released = tested.gate.release();
    tested.gate.abandon(waiting[16] as GatedRequest);
    expect(await released).toMatchObject({ requestsHeld: 17, requestsAbandoned: 1 });
  });

  it("does not wait for requests that a drain leaves out", () => {
    const tested = new GateUnderTest();
    tested.admit({ drained: false });
    tested.hold();
    expect(tested.events).toEqual(["closed", "held"]);
    void tested.gate.release();
  });

  it("opens at the drain's deadline, then says what ran", async () => {
    const tested = new GateUnderTest();
    tested.admit({ path: "/slow" });
    let running: readonly { path: string }[] = [];
    tested.hold({ drainTimeoutMs: 20, onDrainTimeout: (still) => (running = still) });
    const waiting = tested.admit();
    await until(() => running.length > 0);
    expect(running).toMatchObject([{ path: "/slow" }]);
    expect(tested.started).toContain(waiting);
  });

  it("opens at the hold's deadline", async () => {
    const tested = new GateUnderTest();
    tested.hold({ holdTimeoutMs: 20 });
    const waiting = tested.admit();
    await until(() => tested.events.includes("hold timeout"));
    expect(tested.started).toEqual([waiting]);
    expect(tested.gate.release()).toBeUndefined();
  });
});
