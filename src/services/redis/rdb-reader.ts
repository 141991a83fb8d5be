import { needMore, RdbCursor, rdbDamaged } from "./rdb-cursor.ts";
import { skipModuleData, takeValue } from "./rdb-values.ts";

/** A piece of an RDB file. Byte fields are views of the reader's buffer: good until the next batch is asked for. */
export type RdbRecord =
  | { readonly kind: "header"; readonly version: number; readonly raw: Buffer }
  | { readonly kind: "aux"; readonly name: string; readonly raw: Buffer }
  | { readonly kind: "database"; readonly database: number }
  /** A library of functions: its opcode and encoded source. */
  | { readonly kind: "function"; readonly raw: Buffer }
  | { readonly kind: "module-data"; readonly raw: Buffer }
  | {
      readonly kind: "key";
      readonly database: number;
      /** Plain bytes. */
      readonly key: Buffer;
      /** The key as the file encodes it. */
      readonly rawKey: Buffer;
      readonly type: number;
      /** Without type and key; hash tables in a stable order. */
      readonly value: Buffer;
      /** 8 bytes, milliseconds since 1970, little-endian; undefined for a key that does not expire. */
      readonly expiresAt: Buffer | undefined;
    }
  | { readonly kind: "end" };

/** Servers count them with an int. */
const maxDatabase = 2 ** 31 - 1;

type KeyRecord = Extract<RdbRecord, { kind: "key" }>;

/**
 * Cuts an RDB file into records, in batches. Memory: a few chunks, or the largest single value.
 * @throws HoldfastError SERVICE_UNSUPPORTED for what it does not know and for a file that ends early
 */
export async function* readRdb(chunks: AsyncIterable<Uint8Array>): AsyncIterable<readonly RdbRecord[]> {
  const parser = new RdbParser();
  for await (const chunk of chunks) {
    const records = parser.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    if (records.length > 0) yield records;
  }
  const last = parser.end();
  if (last.length > 0) yield last;
}

class RdbParser {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #wanted = 0;
  #started = false;
  #ended = false;
  #version = 0;
  #valkey = false;
  #database = 0;

  push(chunk: Buffer): RdbRecord[] {
    if (this.#ended) throw rdbDamaged("there is more after its end");
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    // A large value is tried again only when twice as much has arrived, so that the work stays linear.
    return this.#pendingBytes < this.#wanted ? [] : this.#parse();
  }

  /** What the last chunks complete, however short they were. */
  end(): RdbRecord[] {
    const records = this.#pendingBytes > 0 ? this.#parse() : [];
    if (!this.#ended) throw rdbDamaged("it ends early");
    return records;
  }

  #parse(): RdbRecord[] {
    const [first] = this.#pending;
    const whole = first !== undefined && this.#pending.length === 1 ? first : Buffer.concat(this.#pending);
    const cursor = new RdbCursor(whole);
    const records: RdbRecord[] = [];
    let done = 0;
    try {
      while (!this.#ended) {
        const record = this.#record(cursor);
        done = cursor.at;
        if (record !== undefined) records.push(record);
      }
    } catch (error) {
      if (error !== needMore) throw error;
    }
    const rest = cursor.bytes.subarray(done);
    if (this.#ended && rest.length > 0) throw rdbDamaged("there is more after its end");
    this.#pending = rest.length === 0 ? [] : [rest];
    this.#pendingBytes = rest.length;
    this.#wanted = rest.length * 2;
    return records;
  }

  #record(cursor: RdbCursor): RdbRecord | undefined {
    const start = cursor.at;
    const raw = (): Buffer => cursor.bytes.subarray(start, cursor.at);
    if (!this.#started) return this.#header(cursor);
    const opcode = cursor.byte();
    switch (opcode) {
      case 255:
        if (this.#version >= 5) cursor.skip(8);
        this.#ended = true;
        return { kind: "end" };
      case 254:
        this.#database = cursor.length();
        if (this.#database > maxDatabase) throw rdbDamaged(`there is no database ${this.#database}`);
        return { kind: "database", database: this.#database };
      case 251:
        cursor.length();
        cursor.length();
        return undefined;
      case 250: {
        const name = cursor.string().toString("latin1");
        cursor.skipString();
        return { kind: "aux", name, raw: raw() };
      }
      case 247:
        cursor.length();
        cursor.length();
        cursor.length();
        skipModuleData(cursor);
        return { kind: "module-data", raw: raw() };
      case 245:
        cursor.skipString();
        return { kind: "function", raw: raw() };
      case 244:
        cursor.length();
        cursor.length();
        cursor.length();
        return undefined;
      default:
        return this.#key(cursor, opcode);
    }
  }

  #header(cursor: RdbCursor): RdbRecord {
    const raw = cursor.take(9);
    const match = /^(REDIS(\d{4})|VALKEY(\d{3}))$/.exec(raw.toString("latin1"));
    if (match === null) throw rdbDamaged("it does not begin with REDIS or VALKEY and a version");
    this.#version = Number(match[2] ?? match[3]);
    this.#valkey = this.#version >= 80;
    this.#started = true;
    return { kind: "header", version: this.#version, raw };
  }

  /** Expiry, idle time and frequency may stand before a key. The last two change without a write and are left out. */
  #key(cursor: RdbCursor, first: number): KeyRecord {
    let type = first;
    let expiresAt: Buffer | undefined;
    for (;;) {
      if (type === 252) {
        expiresAt = cursor.take(8);
      } else if (type === 253) {
        expiresAt = Buffer.alloc(8);
        expiresAt.writeBigInt64LE(BigInt(cursor.take(4).readInt32LE(0)) * 1000n);
      } else if (type === 248) {
        cursor.length();
      } else if (type === 249) {
        cursor.skip(1);
      } else {
        break;
      }
      type = cursor.byte();
    }
    if (type > 64) throw rdbDamaged(`opcode ${type} is unknown`);
    const keyStart = cursor.at;
    const key = cursor.string();
    const rawKey = cursor.bytes.subarray(keyStart, cursor.at);
    const value = takeValue(cursor, type, this.#valkey);
    return { kind: "key", database: this.#database, key, rawKey, type, value, expiresAt };
  }
}
