import { HoldfastError, throwIfAborted } from "../../base/index.ts";
import { crc64 } from "./crc64.ts";
import { readRdb, type RdbRecord } from "./rdb-reader.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { MemoryWatch } from "./redis-memory.ts";
import { RespError } from "./resp-parser.ts";

/** What is sent before its replies are waited for. */
const windowBytes = 4 * 1024 * 1024;
const windowCommands = 2000;

export interface LoadOptions {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** The spare database for one of the backup. */
  readonly stagedDatabase: (database: number) => Promise<number>;
  readonly memory: MemoryWatch;
  readonly signal: AbortSignal;
  readonly onBytes: (bytes: number) => void;
}

export interface LoadReport {
  /** Keys by database of the backup. */
  readonly keys: ReadonlyMap<number, number>;
  /** For FUNCTION RESTORE. */
  readonly functions: Buffer;
  readonly moduleData: boolean;
}

/**
 * Loads an RDB file into spare databases, key by key: a value in the file is what DUMP gives, save its ending. Keys
 * expire at their absolute times. Pipelined; memory is bounded by the window and the largest single value.
 * @throws HoldfastError SERVICE_STAGE_FAILED, SERVICE_UNSUPPORTED, SERVICE_UNREACHABLE
 */
export async function loadRdb(connection: RedisConnection, options: LoadOptions): Promise<LoadReport> {
  const keys = new Map<number, number>();
  const functions: Buffer[] = [];
  let moduleData = false;
  let ending: Buffer = Buffer.alloc(2);
  let database = -1;
  let window: Promise<void>[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const results = await Promise.allSettled(window);
    window = [];
    options.onBytes(bytes);
    bytes = 0;
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    throwIfAborted(options.signal);
    await options.memory.check();
  };
  const restore = async (
    record: Extract<RdbRecord, { kind: "key" }>,
    args: readonly (string | Buffer)[],
  ): Promise<void> => {
    const reply = await connection.send(args);
    if (reply instanceof RespError) throw keyRefused(connection, record, reply);
  };
  try {
    for await (const records of readRdb(options.chunks)) {
      for (const record of records) {
        if (record.kind === "header") ending = versionBytes(record.version);
        if (record.kind === "function") functions.push(Buffer.from(record.raw));
        if (record.kind === "module-data") moduleData = true;
        if (record.kind !== "key") continue;
        if (record.database !== database) {
          await flush();
          database = record.database;
          await connection.call(["SELECT", String(await options.stagedDatabase(database))]);
        }
        keys.set(database, (keys.get(database) ?? 0) + 1);
        const expiry = record.expiresAt === undefined ? "0" : String(record.expiresAt.readBigInt64LE(0));
        const payload = sealed([Buffer.of(record.type), record.value], ending);
        window.push(restore(record, ["RESTORE", record.key, expiry, payload, "ABSTTL"]));
        bytes += payload.length + record.key.length;
        if (bytes >= windowBytes || window.length >= windowCommands) await flush();
      }
    }
    await flush();
  } finally {
    await Promise.allSettled(window);
  }
  return { keys, functions: sealed(functions, ending), moduleData };
}

/** A payload as DUMP and FUNCTION DUMP give it: the content, the RDB version, the checksum of both. */
function sealed(content: readonly Buffer[], ending: Buffer): Buffer {
  const bytes = Buffer.concat([...content, ending]);
  return Buffer.concat([bytes, crc64(bytes)]);
}

function versionBytes(version: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(version);
  return bytes;
}

function keyRefused(
  connection: RedisConnection,
  record: Extract<RdbRecord, { kind: "key" }>,
  reply: RespError,
): HoldfastError {
  const facts = { server: connection.address.label, database: record.database, valueType: record.type };
  if (reply.prefix === "NOPERM") {
    return new HoldfastError(
      "SERVICE_PERMISSION_MISSING",
      `Redis at ${connection.address.label} does not permit RESTORE.`,
      {
        facts,
        remedy: `Give the user the right: ACL SETUSER ${connection.address.user ?? "default"} allkeys +restore +swapdb +flushdb`,
      },
    );
  }
  const remedy =
    reply.prefix === "OOM"
      ? "Raise maxmemory: during a restore the server holds old and new data."
      : /version or checksum|Bad data format/.test(reply.message)
        ? "Restore into a server of the version that the backup was taken from or newer, with the same modules."
        : "See the server's log.";
  const message = `Redis at ${connection.address.label} does not take a key of database ${record.database}: ${reply.message}. Nothing was changed.`;
  return new HoldfastError("SERVICE_STAGE_FAILED", message, { facts, remedy });
}
