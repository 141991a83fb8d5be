import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { HoldfastError, systemErrorCode, throwIfAborted } from "../../base/index.ts";
import type { Gateway, Hold, HoldFigures, HoldOptions } from "../gateway.ts";
import {
  type ControlReply,
  type ControlRequest,
  parseReply,
  type GatewayStatus,
  readLines,
  writeLine,
} from "./control-protocol.ts";

/** What a gateway that is alive takes at most to answer beyond the deadlines it was given. */
const answerTimeoutMs = 5_000;
/** All held requests are passed on well before this, unless the gateway hangs. */
const releaseTimeoutMs = 30_000;

/** A `holdfast gateway` process, reached over its control socket. */
export class BuiltinGateway implements Gateway {
  readonly #socketPath: string;

  /** `controlSocketPath` as the process was given it. */
  constructor(controlSocketPath: string) {
    this.#socketPath = controlSocketPath;
  }

  async hold(options: HoldOptions): Promise<Hold> {
    throwIfAborted(options.signal);
    const connection = await ControlConnection.open(this.#socketPath);
    const onAbort = (): void => connection.close();
    options.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      // Closing the connection is what takes a hold back; `finally` does it unless the hold is handed out.
      throwIfAborted(options.signal);
      const { owner, drainTimeoutMs, holdTimeoutMs } = options;
      const limitMs = Math.min(drainTimeoutMs, holdTimeoutMs) + answerTimeoutMs;
      const reply = await connection.ask({ type: "hold", owner, drainTimeoutMs, holdTimeoutMs }, limitMs);
      throwIfAborted(options.signal);
      if (reply.type !== "held") throw unexpected(reply);
      return new BuiltinHold(connection);
    } catch (error) {
      connection.close();
      throwIfAborted(options.signal);
      throw error;
    } finally {
      options.signal?.removeEventListener("abort", onAbort);
    }
  }

  async assertReachable(): Promise<void> {
    await this.status();
  }

  /** Nothing to do: the gateway let go when the owner's connection closed. */
  async releaseAbandoned(): Promise<void> {
    await Promise.resolve();
  }

  /** What runs and waits now. @throws HoldfastError GATEWAY_UNREACHABLE */
  async status(): Promise<GatewayStatus> {
    const connection = await ControlConnection.open(this.#socketPath);
    try {
      const reply = await connection.ask({ type: "status" }, answerTimeoutMs);
      if (reply.type !== "status") throw unexpected(reply);
      return reply.status;
    } finally {
      connection.close();
    }
  }
}

class BuiltinHold implements Hold {
  readonly lost: AbortSignal;
  readonly #connection: ControlConnection;
  #released: Promise<HoldFigures> | undefined;

  constructor(connection: ControlConnection) {
    this.#connection = connection;
    this.lost = connection.lost;
  }

  release(): Promise<HoldFigures> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<HoldFigures> {
    try {
      throwIfAborted(this.lost);
      const reply = await this.#connection.ask({ type: "release" }, releaseTimeoutMs);
      if (reply.type !== "released") throw unexpected(reply);
      return reply.figures;
    } finally {
      this.#connection.close();
    }
  }
}

/** One connection to the control socket; answers come in the order of the questions. */
class ControlConnection {
  readonly #socket: Socket;
  readonly #socketPath: string;
  readonly #lost = new AbortController();
  #waiting: PromiseWithResolvers<ControlReply> | undefined;
  #closedByUs = false;

  private constructor(socket: Socket, socketPath: string) {
    this.#socket = socket;
    this.#socketPath = socketPath;
    readLines(
      socket,
      (line) => this.#received(line),
      () => socket.destroy(),
    );
    // `close` follows and says what has to be said.
    socket.on("error", (error) => this.#gone(error));
    socket.on("close", () => this.#gone(undefined));
  }

  static async open(socketPath: string): Promise<ControlConnection> {
    const socket = connect(socketPath);
    try {
      await once(socket, "connect", { signal: AbortSignal.timeout(answerTimeoutMs) });
    } catch (error) {
      socket.destroy();
      throw unreachable(socketPath, systemErrorCode(error) ?? "no answer", error);
    }
    return new ControlConnection(socket, socketPath);
  }

  /** Aborted with HOLD_LOST when the gateway ends the hold or the connection. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async ask(request: ControlRequest, timeoutMs: number): Promise<ControlReply> {
    const waiting = Promise.withResolvers<ControlReply>();
    this.#waiting = waiting;
    const timer = setTimeout(() => {
      waiting.reject(unreachable(this.#socketPath, `no answer within ${timeoutMs} ms`, undefined));
    }, timeoutMs);
    try {
      if (this.#socket.destroyed) throw unreachable(this.#socketPath, "connection closed", undefined);
      writeLine(this.#socket, request);
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }

  close(): void {
    this.#closedByUs = true;
    this.#socket.destroy();
  }

  #received(line: string): void {
    const reply = parseReply(line);
    if (reply?.type === "lost") {
      const lost = holdLost(reply.message);
      this.#lost.abort(lost);
      this.#waiting?.reject(lost);
      this.close();
    } else if (reply === undefined) {
      this.#waiting?.reject(unreachable(this.#socketPath, "answer not understood", undefined));
    } else if (reply.type === "error") {
      this.#waiting?.reject(
        new HoldfastError(reply.code, reply.message, { facts: reply.facts, ...remedyFor(reply.code) }),
      );
    } else {
      this.#waiting?.resolve(reply);
    }
  }

  #gone(cause: Error | undefined): void {
    this.#waiting?.reject(unreachable(this.#socketPath, "connection closed", cause));
    if (!this.#closedByUs) this.#lost.abort(holdLost("The gateway closed the connection or ended."));
  }
}

function remedyFor(code: string): { remedy?: string } {
  if (code === "HOLD_DEADLINE_PASSED") {
    const remedy =
      "Raise gateway.drainTimeout, make these requests faster, name event streams in gateway.drainExclude, or take a live backup with --live.";
    return { remedy };
  }
  return code === "GATEWAY_BUSY" ? { remedy: "Try again when that has ended." } : {};
}

function unexpected(reply: ControlReply): HoldfastError {
  return new HoldfastError("INTERNAL", `The gateway answered "${reply.type}" to another question.`);
}

function unreachable(socketPath: string, reason: string, cause: unknown): HoldfastError {
  return new HoldfastError("GATEWAY_UNREACHABLE", `The gateway does not answer on ${socketPath}: ${reason}.`, {
    facts: { socketPath, reason },
    remedy: "Start it:  holdfast gateway. Live backups (--live) and restores into a folder (--into) do without it.",
    cause,
  });
}

function holdLost(reason: string): HoldfastError {
  return new HoldfastError("HOLD_LOST", `The hold ended before its release. ${reason}`, {
    remedy: "What was read may not be of one moment. Try again; raise gateway.holdTimeout if this comes back.",
  });
}
