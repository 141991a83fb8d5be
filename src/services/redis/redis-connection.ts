import type { Duplex } from "node:stream";
import { HoldfastError, isHoldfastError, messageOf } from "../../base/index.ts";
import type { RedisAddress } from "./redis-config.ts";
import { openTransport, unreachable } from "./redis-transport.ts";
import { commandParts, RespError, RespParser, type RespReply } from "./resp-parser.ts";

interface Waiting {
  readonly resolve: (reply: RespReply) => void;
  readonly reject: (error: Error) => void;
}

const connectTimeoutMs = 10_000;
/** A server that is alive answers small commands well before this, also while it forks. */
const defaultReplyTimeoutMs = 30_000;

/** A connection that speaks RESP 2; commands may be sent before earlier ones are answered. */
export class RedisConnection {
  readonly address: RedisAddress;
  readonly #stream: Duplex;
  readonly #parser = new RespParser();
  readonly #waiting: Waiting[] = [];
  #failure: Error | undefined;
  readonly #onData = (chunk: Buffer): void => this.#receive(chunk);

  private constructor(address: RedisAddress, stream: Duplex) {
    this.address = address;
    this.#stream = stream;
    stream.on("data", this.#onData);
    stream.on("error", (error) => {
      // A relay that failed is no server; only a relay that is not there is news of its own.
      const missing = isHoldfastError(error, "TOOL_MISSING");
      this.#fail(missing ? error : unreachable(address, messageOf(error), error));
    });
    stream.on("close", () => this.#fail(unreachable(address, "the connection was closed")));
  }

  /** @throws HoldfastError SERVICE_UNREACHABLE, SERVICE_LOGIN_FAILED, TOOL_MISSING, INTERRUPTED */
  static async open(address: RedisAddress, signal?: AbortSignal): Promise<RedisConnection> {
    const connection = new RedisConnection(address, await openTransport(address, connectTimeoutMs, signal));
    try {
      if (address.password !== undefined) {
        const user = address.user === undefined ? [] : [address.user];
        const reply = await connection.send(["AUTH", ...user, address.password], connectTimeoutMs);
        if (reply instanceof RespError) throw loginFailed(address, reply);
      }
      const pong = await connection.send(["PING"], connectTimeoutMs);
      if (pong instanceof RespError && pong.prefix === "NOAUTH") throw loginFailed(address, pong);
      if (pong instanceof RespError && pong.prefix === "LOADING") throw unreachable(address, "it is loading its data");
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /**
   * Sends a command; error replies are returned.
   * @throws HoldfastError SERVICE_UNREACHABLE if the connection fails or the reply takes longer than `timeoutMs`
   */
  async send(args: readonly (string | Uint8Array)[], timeoutMs: number = defaultReplyTimeoutMs): Promise<RespReply> {
    if (this.#failure !== undefined) throw this.#failure;
    const reply = new Promise<RespReply>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#stream.write(Buffer.concat(commandParts(args)));
    return await this.#within(reply, String(args[0]), timeoutMs);
  }

  async #within<T>(reply: Promise<T>, what: string, timeoutMs: number): Promise<T> {
    const timer = setTimeout(() => {
      // The replies that follow could not be told apart any more, so the connection is of no further use.
      this.#fail(unreachable(this.address, `no reply to ${what} within ${Math.round(timeoutMs)} ms`));
      this.#stream.destroy();
    }, timeoutMs);
    try {
      return await reply;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends a command and throws its error reply: SERVICE_PERMISSION_MISSING for NOPERM, else COMMAND_FAILED. */
  async call(args: readonly (string | Uint8Array)[], timeoutMs?: number): Promise<RespReply> {
    const reply = await this.send(args, timeoutMs);
    if (reply instanceof RespError) throw replyError(this.address, String(args[0]), reply);
    return reply;
  }

  /** Sends commands in one go; error replies are returned. Fails as `send` does, `timeoutMs` being for all together. */
  async sendAll(
    commands: readonly (readonly (string | Uint8Array)[])[],
    timeoutMs: number = defaultReplyTimeoutMs,
  ): Promise<RespReply[]> {
    if (commands.length === 0) return [];
    if (this.#failure !== undefined) throw this.#failure;
    const replies: RespReply[] = [];
    const all = new Promise<RespReply[]>((resolve, reject) => {
      const take = (reply: RespReply): void => {
        replies.push(reply);
        if (replies.length === commands.length) resolve(replies);
      };
      for (let left = commands.length; left > 0; left -= 1) this.#waiting.push({ resolve: take, reject });
    });
    this.#stream.write(Buffer.concat(commands.flatMap(commandParts)));
    return await this.#within(all, `${commands.length} commands`, timeoutMs);
  }

  /** Stops reading replies and hands out the stream, what has arrived of it put back. */
  takeOver(): Duplex {
    this.#stream.pause();
    this.#stream.off("data", this.#onData);
    const rest = this.#parser.takeRest();
    if (rest.length > 0) this.#stream.unshift(rest);
    return this.#stream;
  }

  close(): void {
    this.#stream.destroy();
  }

  #receive(chunk: Buffer): void {
    try {
      for (const reply of this.#parser.push(chunk)) this.#waiting.shift()?.resolve(reply);
    } catch (error) {
      this.#fail(unreachable(this.address, messageOf(error), error));
      this.#stream.destroy();
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#failure);
  }
}

export function replyError(address: RedisAddress, command: string, reply: RespError): HoldfastError {
  const facts = { server: address.label, command };
  if (reply.prefix === "NOPERM") {
    return new HoldfastError("SERVICE_PERMISSION_MISSING", `Redis at ${address.label} does not permit ${command}.`, {
      facts,
      remedy: `Give the user the right: ACL SETUSER ${address.user ?? "default"} +${command.toLowerCase()}`,
    });
  }
  return new HoldfastError("COMMAND_FAILED", `Redis at ${address.label} refused ${command}: ${reply.message}`, {
    facts,
  });
}

function loginFailed(address: RedisAddress, reply: RespError): HoldfastError {
  return new HoldfastError("SERVICE_LOGIN_FAILED", `Redis at ${address.label} refused the login: ${reply.message}`, {
    facts: { server: address.label },
    remedy: "Correct the user and password in the service's url.",
  });
}
