import { throwIfAborted } from "../../base/index.ts";
import { readRdb, type RdbRecord } from "./rdb-reader.ts";
import { RecordSorter } from "./record-sorter.ts";

/** What an RDB file holds; filled while `canonicalRdb` is drained. */
export interface RdbContents {
  version: number;
  functions: number;
  moduleData: boolean;
  /** Key count by database. */
  readonly keys: Map<number, number>;
  readonly expiring: Map<number, number>;
}

export const emptyRdbContents = (): RdbContents => ({
  version: 0,
  functions: 0,
  moduleData: false,
  keys: new Map(),
  expiring: new Map(),
});

/** Of the auxiliary fields those that depend on the data alone; `lua` holds scripts of servers before 7. */
const keptAux = new Set(["redis-ver", "redis-bits", "valkey-ver", "lua"]);
const expiryOpcode = Buffer.of(252);
const typeBytes = Array.from({ length: 256 }, (_, type) => Buffer.of(type));
const outputBytes = 512 * 1024;

export interface CanonicalRdbOptions {
  /** For sorting; files there are removed again. */
  readonly directory: string;
  /** Default 48 MiB. */
  readonly memoryBytes?: number;
  readonly contents: RdbContents;
  readonly signal: AbortSignal;
}

/**
 * The same data as a valid RDB file whose bytes depend on the data alone: keys sorted, hash tables sorted, no times, ids
 * and idle times, and no checksum (eight zero bytes: a server does not check it then).
 */
export async function* canonicalRdb(
  chunks: AsyncIterable<Uint8Array>,
  options: CanonicalRdbOptions,
): AsyncIterable<Uint8Array> {
  const { contents, signal } = options;
  const sorter = new RecordSorter(options.directory, options.memoryBytes ?? 48 * 1024 * 1024);
  const head: Buffer[] = [];
  const functions: Buffer[] = [];
  for await (const records of readRdb(chunks)) {
    throwIfAborted(signal);
    for (const record of records) {
      if (record.kind !== "key") addOther(record, contents, head, functions);
      else if (addKey(sorter, contents, record)) await sorter.spill();
    }
  }
  functions.sort((a, b) => a.compare(b));
  yield Buffer.concat([...head, ...functions]);

  let parts: Buffer[] = [];
  let size = 0;
  let database = -1;
  for await (const records of sorter.sorted()) {
    for (const record of records) {
      if (record.database !== database) {
        database = record.database;
        const counts = [contents.keys.get(database) ?? 0, contents.expiring.get(database) ?? 0];
        parts.push(Buffer.of(254), rdbLength(database), Buffer.of(251), ...counts.map(rdbLength));
      }
      parts.push(record.bytes);
      size += record.bytes.length;
      if (size < outputBytes) continue;
      throwIfAborted(signal);
      yield Buffer.concat(parts);
      parts = [];
      size = 0;
    }
  }
  yield Buffer.concat([...parts, Buffer.of(255), Buffer.alloc(contents.version >= 5 ? 8 : 0)]);
}

function addKey(sorter: RecordSorter, contents: RdbContents, record: Extract<RdbRecord, { kind: "key" }>): boolean {
  const { database, expiresAt } = record;
  contents.keys.set(database, (contents.keys.get(database) ?? 0) + 1);
  if (expiresAt !== undefined) contents.expiring.set(database, (contents.expiring.get(database) ?? 0) + 1);
  const expiry = expiresAt === undefined ? [] : [expiryOpcode, expiresAt];
  // One copy for key and record: what the reader hands out is good only until its next batch.
  const copy = Buffer.concat([record.key, ...expiry, typeBytes[record.type] as Buffer, record.rawKey, record.value]);
  return sorter.add({ database, key: copy.subarray(0, record.key.length), bytes: copy.subarray(record.key.length) });
}

function addOther(record: RdbRecord, contents: RdbContents, head: Buffer[], functions: Buffer[]): void {
  if (record.kind === "header") {
    contents.version = record.version;
    head.push(Buffer.from(record.raw));
  } else if (record.kind === "aux" && keptAux.has(record.name)) {
    head.push(Buffer.from(record.raw));
  } else if (record.kind === "module-data") {
    contents.moduleData = true;
    head.push(Buffer.from(record.raw));
  } else if (record.kind === "function") {
    contents.functions += 1;
    functions.push(Buffer.from(record.raw));
  }
}

function rdbLength(length: number): Buffer {
  if (length < 64) return Buffer.of(length);
  if (length < 16_384) return Buffer.of(0x40 | (length >> 8), length & 255);
  const wide = Buffer.alloc(length < 2 ** 32 ? 5 : 9);
  wide[0] = wide.length === 5 ? 0x80 : 0x81;
  if (wide.length === 5) wide.writeUInt32BE(length, 1);
  else wide.writeBigUInt64BE(BigInt(length), 1);
  return wide;
}
