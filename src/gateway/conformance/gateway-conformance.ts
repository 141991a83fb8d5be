import { describe, expect, it } from "vitest";
import type { Gateway, HoldOptions } from "../gateway.ts";

/** One gateway in front of a running application, and what the suite must be able to do to it. */
export interface GatewayUnderTest {
  readonly gateway: Gateway;
  /** Sends one request through the gateway; resolves with its status when answered. */
  readonly send: () => Promise<number>;
  /** Keeps a drain from ending for so many milliseconds. Resolves once that has begun. */
  readonly occupy: (durationMs: number) => Promise<void>;
  /** Whether requests are held now. */
  readonly isHeld: () => Promise<boolean>;
  readonly stop: () => Promise<void>;
}

const lease: HoldOptions = { owner: "the suite", drainTimeoutMs: 5_000, holdTimeoutMs: 10_000 };

/** What every gateway has to do; `start` gives a fresh one, with nothing held. */
export function describeGateway(name: string, start: () => Promise<GatewayUnderTest>): void {
  const under = async (test: (tested: GatewayUnderTest) => Promise<void>): Promise<void> => {
    const tested = await start();
    try {
      await test(tested);
    } finally {
      await tested.stop();
    }
  };

  describe(`${name} as a gateway`, () => {
    it("holds requests that come in and answers them after the release", () =>
      under(async ({ gateway, send, isHeld }) => {
        expect(await send()).toBe(200);
        const hold = await gateway.hold(lease);
        expect(await isHeld()).toBe(true);
        let answered = false;
        const waiting = send().then((status) => {
          answered = true;
          return status;
        });
        await new Promise((resolve) => setTimeout(resolve, 100));
        expect(answered).toBe(false);
        const figures = await hold.release();
        expect(await waiting).toBe(200);
        expect(await isHeld()).toBe(false);
        expect(figures.requestsFailed).toBe(0);
        expect(figures.heldMs).toBeGreaterThanOrEqual(95);
        // On a crowded machine the request arrives late; it waits all the same.
        expect(figures.longestWaitMs).toBeGreaterThan(0);
        expect(hold.lost.aborted).toBe(false);
      }));

    it("waits for what runs, and says how long", () =>
      under(async ({ gateway, occupy }) => {
        await occupy(200);
        const askedAtMs = performance.now();
        const hold = await gateway.hold(lease);
        expect(performance.now() - askedAtMs).toBeGreaterThan(100);
        const figures = await hold.release();
        expect(figures.drainMs).toBeGreaterThan(100);
        expect(figures.requestsFailed).toBe(0);
      }));

    it("gives up at the drain's deadline, with nothing held", () =>
      under(async ({ gateway, occupy, isHeld, send }) => {
        await occupy(2_000);
        const hold = gateway.hold({ ...lease, drainTimeoutMs: 100 });
        await expect(hold).rejects.toMatchObject({ code: "HOLD_DEADLINE_PASSED" });
        expect(await isHeld()).toBe(false);
        expect(await send()).toBe(200);
      }));

    it("lets go by itself at the hold's deadline, and tells the owner", () =>
      under(async ({ gateway, isHeld, send }) => {
        const hold = await gateway.hold({ ...lease, holdTimeoutMs: 400 });
        const lost = new Promise((resolve) => hold.lost.addEventListener("abort", resolve, { once: true }));
        expect(await send()).toBe(200);
        await lost;
        expect(hold.lost.reason).toMatchObject({ code: "HOLD_LOST" });
        expect(await isHeld()).toBe(false);
        await expect(hold.release()).rejects.toMatchObject({ code: "HOLD_LOST" });
      }));

    it("holds for one owner at a time", () =>
      under(async ({ gateway, isHeld }) => {
        const hold = await gateway.hold(lease);
        await expect(gateway.hold({ ...lease, owner: "another" })).rejects.toMatchObject({
          code: "GATEWAY_BUSY",
          facts: { owner: "the suite" },
        });
        expect(await isHeld()).toBe(true);
        await hold.release();
        const next = await gateway.hold({ ...lease, owner: "another" });
        await next.release();
      }));

    it("releases once, however often it is asked", () =>
      under(async ({ gateway }) => {
        const hold = await gateway.hold(lease);
        const [first, second] = await Promise.all([hold.release(), hold.release()]);
        expect(second).toEqual(first);
        expect(await hold.release()).toEqual(first);
      }));

    it("takes the hold back when the caller aborts during the drain", () =>
      under(async ({ gateway, occupy, isHeld, send }) => {
        await occupy(1_000);
        const controller = new AbortController();
        const hold = gateway.hold({ ...lease, signal: controller.signal });
        setTimeout(() => controller.abort(), 50);
        await expect(hold).rejects.toMatchObject({ code: "INTERRUPTED" });
        expect(await send()).toBe(200);
        expect(await isHeld()).toBe(false);
      }));

    it("does nothing for an aborted caller", () =>
      under(async ({ gateway, isHeld }) => {
        const hold = gateway.hold({ ...lease, signal: AbortSignal.abort() });
        await expect(hold).rejects.toMatchObject({ code: "INTERRUPTED" });
        expect(await isHeld()).toBe(false);
      }));

    it("does not take a living owner's hold away in recovery", () =>
      under(async ({ gateway, isHeld }) => {
        const hold = await gateway.hold(lease);
        await gateway.releaseAbandoned();
        expect(await isHeld()).toBe(true);
        await hold.release();
        await gateway.releaseAbandoned();
        expect(await isHeld()).toBe(false);
      }));
  });
}
