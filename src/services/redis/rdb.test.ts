import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { array, assert, asyncProperty, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { crc64 } from "./crc64.ts";
import { readRdb } from "./rdb-reader.ts";
import { RecordSorter } from "./record-sorter.ts";
import { RespParser } from "./resp-parser.ts";

describe("the RDB format", () => {
  it("has Redis' checksum", () => {
    expect(crc64(Buffer.from("123456789")).readBigUInt64LE(0)).toBe(0xe9c6d914c4b8d9can);
  });

  it.each([
    ["nothing", ""],
    ["another file", "SQLite format 3"],
    ["an early end", "REDIS0010\u00fe\u0000\u0000\u0001a"],
    ["an unknown value", "REDIS0010\u003f\u0001a"],
    ["a tail", `REDIS0010\u00ff${"\0".repeat(9)}`],
  ])("is refused for %s", async (_what, text) => {
    const read = async (): Promise<void> => {
      for await (const batch of readRdb(once(Buffer.from(text, "latin1")))) expect(batch.length).toBeGreaterThan(0);
    };
    await expect(read()).rejects.toMatchObject({ code: "SERVICE_UNSUPPORTED" });
  });
});

describe("an RDB file", () => {
  // A database, a key with a long value, one with a short value, and the end with its checksum.
  const long = `\u0000\u0003old\u0080\u0000\u0000\u0001\u0000${"x".repeat(256)}`;
  const text = `REDIS0010\u00fe\u0000${long}\u0000\u0003new\u0001y\u00ff${"\0".repeat(8)}`;
  const bytes = Buffer.from(text, "latin1");

  it("is read the same however it arrives in pieces", async () => {
    const read = async (pieces: Iterable<Buffer>): Promise<string[]> => {
      const seen: string[] = [];
      for await (const batch of readRdb(piecewise(pieces)))
        for (const record of batch)
          seen.push(record.kind === "key" ? `${record.key.toString()}=${record.value.toString("hex")}` : record.kind);
      return seen;
    };
    const whole = await read([bytes]);
    expect(whole.map((one) => one.replace(/=.*/, ""))).toEqual(["header", "database", "old", "new", "end"]);
    await assert(
      asyncProperty(array(integer({ min: 1, max: bytes.length - 1 })), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        expect(await read(at.slice(1).map((end, index) => bytes.subarray(at[index], end)))).toEqual(whole);
      }),
    );
  });
});

async function* once(bytes: Buffer): AsyncIterable<Uint8Array> {
  yield bytes;
}

async function* piecewise(pieces: Iterable<Buffer>): AsyncIterable<Uint8Array> {
  yield* pieces;
}

describe("the sorter", () => {
  it("sorts by database and key in many runs and leaves no file", async () => {
    const directory = await mkdtemp(join(tmpdir(), "holdfast-sorter-"));
    try {
      const records = Array.from({ length: 5000 }, (_, at) => ({
        database: at % 3,
        key: Buffer.from(`key ${(at * 7919) % 5000}`),
        bytes: Buffer.from("b".repeat(at % 50)),
      }));
      const sorter = new RecordSorter(directory, 20_000);
      for (const record of records) if (sorter.add(record)) await sorter.spill();
      const sorted: string[] = [];
      for await (const batch of sorter.sorted())
        for (const { database, key } of batch) sorted.push(`${database} ${key.toString()}`);
      expect(sorted).toEqual(
        records.map(({ database, key }) => `${database} ${key.toString()}`).sort((a, b) => (a < b ? -1 : 1)),
      );
      expect(await readdir(directory)).toEqual([]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe("the protocol", () => {
  it("is read the same however it arrives in pieces", () => {
    const bytes = Buffer.from("+OK\r\n:42\r\n$5\r\nhe\r\no\r\n*3\r\n$-1\r\n*1\r\n-ERR x\r\n$0\r\n\r\n+END\r\n");
    const whole = JSON.stringify(new RespParser().push(bytes));
    expect(JSON.parse(whole)).toHaveLength(5);
    assert(
      property(array(integer({ min: 1, max: bytes.length - 1 })), (cuts) => {
        const parser = new RespParser();
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const replies = at.slice(1).flatMap((end, index) => parser.push(bytes.subarray(at[index], end)));
        expect(JSON.stringify(replies)).toBe(whole);
      }),
    );
  });
});
