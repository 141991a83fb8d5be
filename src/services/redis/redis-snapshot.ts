import { type FileHandle, open } from "node:fs/promises";
import type { Duplex } from "node:stream";
import { HoldfastError, isHoldfastError, messageOf, systemErrorCode } from "../../base/index.ts";
import type { RedisAddress } from "./redis-config.ts";
import { RedisConnection } from "./redis-connection.ts";
import { unreachable } from "./redis-transport.ts";

const markBytes = 40;

/**
 * Receives one snapshot as a replica does (PSYNC). The server answers `+FULLRESYNC` in the same step in which it forks,
 * so the line says that the point in time is fixed.
 */
export class RedisSnapshot {
  readonly #connection: RedisConnection;
  readonly #path: string;
  #pending: Buffer = Buffer.alloc(0);
  #spooling: Promise<void> | undefined;

  private constructor(connection: RedisConnection, path: string) {
    this.#connection = connection;
    this.#path = path;
  }

  /** Connects and says what we are; `diskless` as `changeSettings` returned. The snapshot will be written to `path`. */
  static async prepare(
    address: RedisAddress,
    options: { readonly diskless: boolean; readonly path: string; readonly signal: AbortSignal },
  ): Promise<RedisSnapshot> {
    const connection = await RedisConnection.open(address, options.signal);
    try {
      // Without "eof" the server takes its disk, whatever its settings.
      if (options.diskless) await connection.call(["REPLCONF", "capa", "eof"]);
      // From 6.2 on: no changes after the snapshot are kept for us. Older servers refuse it, which does no harm.
      await connection.send(["REPLCONF", "rdb-only", "1"]);
      return new RedisSnapshot(connection, options.path);
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Asks for the snapshot; resolves when the server has forked, and goes on writing it to the file by itself. */
  async begin(deadlineMs: number): Promise<void> {
    const stream = this.#connection.takeOver();
    stream.write("*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
    const timer = setTimeout(() => stream.destroy(tooLate(deadlineMs)), Math.max(1, deadlineMs));
    try {
      const line = await this.#line(stream);
      if (!line.startsWith("+FULLRESYNC")) throw refused(this.#connection.address, line);
    } finally {
      clearTimeout(timer);
    }
    this.#spooling = this.#spool(stream);
    // Whoever reads waits for it; until then its failure must not count as unhandled.
    this.#spooling.catch(() => undefined);
  }

  /** Resolves when the whole snapshot is in the file. @throws HoldfastError SERVICE_UNREACHABLE, TARGET_FULL */
  async complete(): Promise<void> {
    await this.#spooling;
  }

  /** Ends the transfer, if it still runs. */
  async close(): Promise<void> {
    this.#connection.close();
    await this.#spooling?.catch(() => undefined);
  }

  async #spool(stream: Duplex): Promise<void> {
    const { address } = this.#connection;
    try {
      const announced = await this.#line(stream);
      await using file = await open(this.#path, "w", 0o600);
      const match = /^\$(?:EOF:(.{40})|(\d+))$/.exec(announced);
      if (match?.[1] !== undefined) await this.#untilMark(stream, Buffer.from(match[1], "latin1"), file);
      else if (match?.[2] !== undefined) await this.#exactly(stream, Number(match[2]), file);
      else throw refused(address, announced);
    } catch (error) {
      if (isHoldfastError(error)) throw error;
      if (systemErrorCode(error) === "ENOSPC") {
        throw new HoldfastError("TARGET_FULL", `No room left for the snapshot of Redis at ${address.label}.`, {
          facts: { path: this.#path },
          remedy:
            "Make room in the state folder: a backup of Redis needs the size of its RDB file there, twice if large.",
          cause: error,
        });
      }
      throw unreachable(address, `the snapshot was cut off (${messageOf(error)})`, error);
    } finally {
      this.#connection.close();
    }
  }

  async #untilMark(stream: Duplex, mark: Buffer, file: FileHandle): Promise<void> {
    let tail: Buffer = Buffer.alloc(0);
    for (;;) {
      const bytes = Buffer.concat([tail, await this.#chunk(stream)]);
      const keep = Math.max(0, bytes.length - markBytes);
      await writeAll(file, bytes.subarray(0, keep));
      tail = bytes.subarray(keep);
      if (tail.equals(mark)) return;
    }
  }

  async #exactly(stream: Duplex, length: number, file: FileHandle): Promise<void> {
    for (let left = length; left > 0;) {
      const bytes = (await this.#chunk(stream)).subarray(0, left);
      await writeAll(file, bytes);
      left -= bytes.length;
    }
  }

  /** A line without its end; empty ones, by which the server says that it lives, are passed over. */
  async #line(stream: Duplex): Promise<string> {
    let text: Buffer = Buffer.alloc(0);
    for (;;) {
      text = Buffer.concat([text, await this.#chunk(stream)]);
      while (text[0] === 0x0a) text = text.subarray(1);
      const end = text.indexOf("\n");
      if (end === -1) continue;
      this.#pending = text.subarray(end + 1);
      return text.toString("latin1", 0, end).trimEnd();
    }
  }

  async #chunk(stream: Duplex): Promise<Buffer> {
    if (this.#pending.length > 0) {
      const bytes = this.#pending;
      this.#pending = Buffer.alloc(0);
      return bytes;
    }
    for (;;) {
      const bytes = stream.read() as Buffer | null;
      if (bytes !== null) return bytes;
      await readable(stream, this.#connection.address);
    }
  }
}

async function readable(stream: Duplex, address: RedisAddress): Promise<void> {
  if (stream.destroyed || stream.readableEnded) {
    throw stream.errored ?? unreachable(address, "it ended the transfer of the snapshot; its log says why");
  }
  await new Promise<void>((resolve, reject) => {
    const settle = (then: () => void) => (): void => {
      stream.off("readable", onReadable).off("end", onEnd).off("close", onEnd);
      then();
    };
    const onReadable = settle(resolve);
    const onEnd = settle(() =>
      reject(stream.errored ?? unreachable(address, "it ended the transfer of the snapshot; its log says why")),
    );
    stream.on("readable", onReadable).on("end", onEnd).on("close", onEnd);
  });
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
}

function tooLate(deadlineMs: number): HoldfastError {
  return new HoldfastError(
    "FREEZE_FAILED",
    `Redis did not fork for the snapshot within ${Math.round(deadlineMs)} ms.`,
    {
      facts: { deadlineMs: Math.round(deadlineMs) },
      remedy: "Another save or rewrite was probably running; try again when it has ended.",
    },
  );
}

function refused(address: RedisAddress, line: string): HoldfastError {
  if (line.startsWith("-NOPERM")) {
    return new HoldfastError("SERVICE_PERMISSION_MISSING", `Redis at ${address.label} does not permit PSYNC.`, {
      facts: { server: address.label },
      remedy: `Give the user the right: ACL SETUSER ${address.user ?? "default"} +psync +replconf`,
    });
  }
  return new HoldfastError("FREEZE_FAILED", `Redis at ${address.label} gives no snapshot: ${line.slice(0, 200)}`, {
    facts: { server: address.label },
    remedy: "See the server's log.",
  });
}
