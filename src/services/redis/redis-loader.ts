import { HoldfastError, throwIfAborted } from "../../base/index.ts";
import { crc64 } from "./crc64.ts";
import { readRdb } from "./rdb-reader.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { MemoryWatch } from "./redis-memory.ts";
import { RespError } from "./resp-parser.ts";

/** What is sent before its replies are waited for. */
const windowBytes = 4 * 1024 * 1024;
const windowCommands = 2000;
/** What a key costs the server beside its bytes. */
const keyOverheadBytes = 100;

const windowTimeoutMs = 300_000;

interface KeyCommand {
  readonly args: readonly (string | Buffer)[];
  readonly database: number;
  readonly type: number;
}

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
  let window: KeyCommand[] = [];
  let bytes = 0;
  let allowance = Math.min(windowBytes, await options.memory.allowance());
  // The window before is on its way while the next one is made.
  let sending: Promise<void> = Promise.resolve();
  const send = async (commands: readonly KeyCommand[], sent: number): Promise<void> => {
    const replies = await connection.sendAll(
      commands.map((command) => command.args),
      windowTimeoutMs,
    );
    for (const [index, reply] of replies.entries()) {
      const command = commands[index];
      if (reply instanceof RespError && command !== undefined) throw keyRefused(connection, command, reply);
    }
    options.onBytes(sent - commands.length * keyOverheadBytes);
  };
  const flush = async (): Promise<void> => {
    await sending;
    throwIfAborted(options.signal);
    allowance = Math.min(windowBytes, await options.memory.allowance());
    sending = send(window, bytes);
    // It is awaited with the next window; until then its failure must not count as unhandled.
    sending.catch(() => undefined);
    window = [];
    bytes = 0;
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
          await sending;
          database = record.database;
          await connection.call(["SELECT", String(await options.stagedDatabase(database))]);
        }
        keys.set(database, (keys.get(database) ?? 0) + 1);
        const expiry = record.expiresAt === undefined ? "0" : String(record.expiresAt.readBigInt64LE(0));
        const payload = sealed([Buffer.of(record.type), record.value], ending);
        const args = ["RESTORE", Buffer.from(record.key), expiry, payload, "ABSTTL"];
        window.push({ args, database, type: record.type });
        bytes += payload.length + record.key.length + keyOverheadBytes;
        if (bytes >= allowance || window.length >= windowCommands) await flush();
      }
    }
    await flush();
    await sending;
  } finally {
    await sending.catch(() => undefined);
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

function keyRefused(connection: RedisConnection, { database, type }: KeyCommand, reply: RespError): HoldfastError {
  const facts = { server: connection.address.label, database, valueType: type };
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
  const message = `Redis at ${connection.address.label} does not take a key of database ${database}: ${reply.message}. Nothing was changed.`;
  return new HoldfastError("SERVICE_STAGE_FAILED", message, { facts, remedy });
}
