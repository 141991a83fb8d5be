import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { HoldfastError } from "../../base/index.ts";
import { MemoryBackend } from "../../storage/index.ts";
import { BareRepository, streamOf, testKey } from "../writer/conformance/bare-repository.ts";
import { WorkerPool } from "./worker-pool.ts";

/** A thread that opens sessions and does whatever `onJob` says with anything else. */
const program = (onJob: string): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`
      import { BroadcastChannel, parentPort } from "node:worker_threads";
      const opened = new Set();
      parentPort.on("message", ({ id, job }) => {
        if (job.kind === "open-session") {
          opened.add(job.setup.session);
          parentPort.postMessage({ kind: "done", id, result: undefined });
        } else { ${onJob} }
      });
      parentPort.postMessage({ kind: "ready" });`)}`,
  );

describe("the worker pool", () => {
  test.each([
    ["exits", "process.exit(3);"],
    ["throws", "throw new Error('broken');"],
  ])("fails what is going on, and all that follows, when a thread %s", async (_, onJob) => {
    const pool = new WorkerPool({ threads: 2, program: program(onJob) });
    const repository = new BareRepository(new MemoryBackend(), pool);
    const writer = await repository.writer();
    const stored = [1, 2, 3, 4, 5].map((at) => writer.storeStream(streamOf([Buffer.from(`stream ${at}`)])));
    for (const result of await Promise.allSettled(stored)) {
      expect(result).toMatchObject({ status: "rejected", reason: { code: "INTERNAL" } });
    }
    await expect(writer.storeFiles([{ path: Buffer.from("/etc/hostname") }])).rejects.toMatchObject({
      code: "INTERNAL",
    });
    await writer.close();
    await expect(repository.writer()).rejects.toMatchObject({ code: "INTERNAL" });
    await pool.close();
  });

  test("rejects what is going on when it is closed, and everything afterwards", async () => {
    const pool = new WorkerPool({ threads: 1, program: program("") });
    const repository = new BareRepository(new MemoryBackend(), pool);
    const session = await pool.openSession({ key: testKey });
    const jobs = [1, 2, 3].map(() => pool.run({ kind: "reuse-files", session, files: new Uint8Array() }));
    const ended = Promise.allSettled(jobs);
    await pool.close();
    for (const result of await ended) {
      expect(result).toMatchObject({ status: "rejected", reason: { code: "INTERRUPTED" } });
    }
    await expect(repository.writer()).rejects.toMatchObject({ code: "INTERNAL" });
    await pool.closeSession(session, new HoldfastError("INTERRUPTED", "closed"));
  });

  test("starts a thread when a job waits, and lets it know the sessions that there are", async () => {
    // A job is done once another thread has one at the same time.
    const both = program(`
      globalThis.channel ??= new BroadcastChannel("worker-pool-test");
      let met = false;
      channel.onmessage = () => {
        if (met) return;
        met = true;
        channel.postMessage("here");
        parentPort.postMessage({ kind: "done", id, result: opened.has(job.session) });
        channel.close();
      };
      channel.postMessage("here");`);
    const pool = new WorkerPool({ threads: 3, program: both });
    const session = await pool.openSession({ key: testKey });
    const jobs = [1, 2].map(() => pool.run({ kind: "reuse-files", session, files: new Uint8Array() }));
    expect(await Promise.all(jobs)).toEqual([true, true]);
    await pool.close();
  });

  test("lets a thread finish loading before it ends it", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "holdfast-pool-"));
    const loaded = path.join(folder, "loaded");
    const slow = new URL(
      `data:text/javascript,${encodeURIComponent(`
        import { writeFileSync } from "node:fs";
        import { parentPort } from "node:worker_threads";
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
        writeFileSync(${JSON.stringify(loaded)}, "");
        parentPort.postMessage({ kind: "ready" });`)}`,
    );
    const pool = new WorkerPool({ threads: 1, program: slow });
    pool.start();
    await pool.close();
    expect(existsSync(loaded)).toBe(true);
    rmSync(folder, { recursive: true });
  });

  test("refuses to have no thread", () => {
    expect(() => new WorkerPool({ threads: 0 })).toThrow(RangeError);
  });
});
