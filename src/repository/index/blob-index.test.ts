import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { BlobIndex } from "./blob-index.ts";

const blobIndexFile = new URL("./blob-index.ts", import.meta.url).href;

/** Runs in a thread: claims every id of `ids` in an order of its own and answers with those that it won. */
const claimer = `
const { parentPort, workerData } = require("node:worker_threads");
import(workerData.file).then(({ BlobIndex }) => {
  const index = new BlobIndex(workerData.shared);
  const { ids, step, gate } = workerData;
  const count = ids.length / 32;
  const won = [];
  Atomics.add(gate, 0, 1);
  while (Atomics.load(gate, 0) < workerData.threads);
  for (let turn = 0, at = 0; turn < count; turn += 1, at = (at + step) % count) {
    if (index.claim("data", ids.subarray(at * 32, at * 32 + 32))) won.push(at);
  }
  parentPort.postMessage(won);
});`;

describe("the blob index", () => {
  test("finds what was placed, by type and id, also after it has grown", () => {
    const index = new BlobIndex();
    const count = 200_000;
    const ids = randomBytes(count * 32);
    const id = (at: number): Buffer => ids.subarray(at * 32, at * 32 + 32);
    for (let at = 0; at < count; at += 1) {
      index.place("data", id(at), { pack: at >>> 8, offset: at, length: 100 + at, uncompressedLength: at % 3 });
    }
    const shared = new BlobIndex(index.share());
    expect(shared.size).toBe(count);
    for (let at = 0; at < count; at += 997) {
      const expected = { pack: at >>> 8, offset: at, length: 100 + at, uncompressedLength: at % 3 };
      expect(shared.locate("data", id(at))).toEqual(expected);
      expect(shared.has("tree", id(at))).toBe(false);
      expect(shared.locate("tree", id(at))).toBeUndefined();
    }
    expect(shared.has("data", randomBytes(32))).toBe(false);
  });

  test("keeps tree and data blobs of one hash apart", () => {
    const index = new BlobIndex();
    const id = randomBytes(32);
    expect(index.claim("tree", id)).toBe(true);
    expect(index.has("data", id)).toBe(false);
    expect(index.claim("data", id)).toBe(true);
    index.place("tree", id, { pack: 1, offset: 2, length: 3, uncompressedLength: 0xffff_ffff });
    expect(index.locate("tree", id)).toEqual({ pack: 1, offset: 2, length: 3, uncompressedLength: 0xffff_ffff });
    expect(index.locate("data", id)).toBeUndefined();
  });

  test("keeps the first place of a blob that is in several packs", () => {
    const index = new BlobIndex();
    const id = randomBytes(32);
    index.place("data", id, { pack: 1, offset: 0, length: 40, uncompressedLength: 0 });
    index.place("data", id, { pack: 2, offset: 9, length: 41, uncompressedLength: 0 });
    expect(index.locate("data", id)?.pack).toBe(1);
    expect(index.size).toBe(1);
  });

  test("gives a blob to exactly one of the threads that claim it at once, growing meanwhile", async () => {
    const index = new BlobIndex();
    const count = 150_000;
    const ids = new Uint8Array(new SharedArrayBuffer(count * 32));
    ids.set(randomBytes(count * 32));
    const gate = new Int32Array(new SharedArrayBuffer(4));
    // The same steps for two of them: they meet at every blob.
    const steps = [1, 1, 7, 149_999];
    const threads = steps.map(
      (step) =>
        new Worker(claimer, {
          eval: true,
          workerData: { file: blobIndexFile, shared: index.share(), ids, step, gate, threads: steps.length },
        }),
    );
    const answers = await Promise.all(threads.map(async (thread) => (await once(thread, "message"))[0] as number[]));
    await Promise.all(threads.map((thread) => thread.terminate()));
    const winners = answers.flat();
    expect(winners.length).toBe(count);
    expect(new Set(winners).size).toBe(count);
    for (let at = 0; at < count; at += 101)
      expect(index.claim("data", ids.subarray(at * 32, at * 32 + 32))).toBe(false);
  });

  test("takes less than 64 bytes a blob", () => {
    const index = new BlobIndex();
    const count = 1_200_000;
    const id = Buffer.alloc(32);
    for (let at = 0; at < count; at += 1) {
      // Spread over the table as hashes are.
      id.writeUInt32LE(Math.imul(at, 2_654_435_761) >>> 0, 0);
      id.writeUInt32LE(at, 4);
      index.place("data", id, { pack: 1, offset: at, length: 40, uncompressedLength: 0 });
    }
    index.fit();
    expect(index.memoryBytes / count).toBeLessThan(64);
    expect(index.has("data", id)).toBe(true);
    id.writeUInt32LE(count, 4);
    expect(index.has("data", id)).toBe(false);
  });
});
