import { once } from "node:events";
import { chmod } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import {
  type ErrorCode,
  type Facts,
  HoldfastError,
  type Logger,
  makeSocketFolder,
  removeFallbackFolder,
  removeStaleSocket,
  socketUnusable,
} from "../../base/index.ts";
import {
  type ControlReply,
  type ControlRequest,
  parseRequest,
  type GatewayStatus,
  readLines,
  writeLine,
} from "./control-protocol.ts";
import type { RequestGate, RunningRequest } from "./request-gate.ts";

/** The gateway's side of the control socket: turns lines into holds and releases, and closed connections into releases. */
export class ControlServer {
  readonly #socketPath: string;
  readonly #gate: RequestGate;
  readonly #tunnelCount: () => number;
  readonly #log: Logger;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  /** The connection whose hold is on. */
  #holder: Socket | undefined;

  constructor(socketPath: string, gate: RequestGate, tunnelCount: () => number, log: Logger) {
    this.#socketPath = socketPath;
    this.#gate = gate;
    this.#tunnelCount = tunnelCount;
    this.#log = log;
    this.#server = createServer((socket) => this.#connected(socket));
  }

  /** @throws HoldfastError STATE_UNUSABLE; GATEWAY_BUSY if another gateway answers on this socket */
  async listen(): Promise<void> {
    await makeSocketFolder(this.#socketPath);
    if (!(await removeStaleSocket(this.#socketPath))) {
      throw new HoldfastError("GATEWAY_BUSY", `Another gateway answers on ${this.#socketPath} already.`, {
        facts: { socketPath: this.#socketPath },
        remedy: "Each environment has one gateway process: end the other one first.",
      });
    }
    const listening = once(this.#server, "listening");
    this.#server.listen(this.#socketPath);
    try {
      await listening;
      this.#server.on("error", (error) => this.#log.error("A control connection failed.", { reason: error.message }));
      await chmod(this.#socketPath, 0o600);
    } catch (error) {
      throw socketUnusable(this.#socketPath, error);
    }
  }

  /** Ends a hold that is on, closes every connection and removes the socket. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#lose("The gateway was stopped.");
    for (const socket of this.#connections) socket.end();
    await closed;
    await removeFallbackFolder(this.#socketPath);
  }

  #connected(socket: Socket): void {
    this.#connections.add(socket);
    socket.on("error", (error) => this.#log.debug("A control connection failed.", { reason: error.message }));
    socket.on("close", () => {
      this.#connections.delete(socket);
      if (this.#holder !== socket) return;
      this.#holder = undefined;
      this.#log.warn("The owner of the hold has gone without releasing it; requests go on.");
      void this.#gate.release();
    });
    readLines(
      socket,
      (line) => this.#asked(socket, line),
      () => socket.destroy(),
    );
    // An owner's half-closed connection is as good as a closed one.
    socket.on("end", () => socket.destroy());
  }

  #asked(socket: Socket, line: string): void {
    const request = parseRequest(line);
    if (request === undefined) {
      replyError(socket, "INPUT_INVALID", "The gateway does not understand this request.", {});
      socket.end();
      return;
    }
    switch (request.type) {
      case "status": {
        const status: GatewayStatus = { ...this.#gate.status(), tunnelCount: this.#tunnelCount() };
        writeLine(socket, { type: "status", status });
        break;
      }
      case "hold":
        this.#hold(socket, request);
        break;
      case "release":
        this.#release(socket);
        break;
    }
  }

  #hold(socket: Socket, request: ControlRequest & { type: "hold" }): void {
    const owner = this.#gate.owner;
    if (owner !== undefined) {
      replyError(socket, "GATEWAY_BUSY", `Requests are held by ${owner} at the moment.`, { owner });
      return;
    }
    this.#log.info("Draining.", { owner: request.owner });
    this.#holder = socket;
    this.#gate.hold({
      owner: request.owner,
      drainTimeoutMs: request.drainTimeoutMs,
      holdTimeoutMs: request.holdTimeoutMs,
      onHeld: (drainMs) => {
        this.#log.info("Holding.", { owner: request.owner, drainMs });
        writeLine(socket, { type: "held", drainMs });
      },
      onDrainTimeout: (running) => {
        this.#holder = undefined;
        const { message, facts } = drainFailure(request, running);
        this.#log.warn(message, facts);
        replyError(socket, "HOLD_DEADLINE_PASSED", message, facts);
      },
      onHoldTimeout: () => this.#lose(`The hold lasted longer than ${request.holdTimeoutMs} ms.`),
    });
  }

  #release(socket: Socket): void {
    if (this.#holder !== socket) {
      replyError(socket, "HOLD_LOST", "This connection holds nothing.", {});
      return;
    }
    this.#holder = undefined;
    void this.#gate.release()?.then((figures) => {
      this.#log.info("Released.", { ...figures, requestsAbandoned: figures.requestsAbandoned ?? 0 });
      const requestsAbandoned = figures.requestsAbandoned ?? 0;
      writeLine(socket, { type: "released", figures: { ...figures, requestsAbandoned } });
    });
  }

  #lose(reason: string): void {
    const holder = this.#holder;
    if (holder === undefined) return;
    this.#holder = undefined;
    const message = `${reason} The gateway let requests go on.`;
    this.#log.warn(message);
    void this.#gate.release();
    writeLine(holder, { type: "lost", message });
  }
}

function replyError(socket: Socket, code: ErrorCode, message: string, facts: Facts): void {
  const reply: ControlReply = { type: "error", code, message, facts };
  writeLine(socket, reply);
}

function drainFailure(
  request: { drainTimeoutMs: number; holdTimeoutMs: number },
  running: readonly RunningRequest[],
): { message: string; facts: Facts } {
  const limitMs = Math.min(request.drainTimeoutMs, request.holdTimeoutMs);
  const slowest = running.slice(0, 5).map(({ method, path, ageMs }) => {
    return `${method} ${path} (${(ageMs / 1000).toFixed(1)} s)`;
  });
  const more = running.length > slowest.length ? ", and more" : "";
  return {
    message:
      `Requests did not drain within ${limitMs} ms: ${slowest.join(", ")}${more} still running. ` +
      "The gateway let requests go on; none failed.",
    facts: { drainTimeoutMs: limitMs, running: running.length, slowest: slowest.join(", ") },
  };
}
