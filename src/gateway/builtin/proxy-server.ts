import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Clock, HoldfastError, type Logger, systemErrorCode } from "../../base/index.ts";
import type { BuiltinGatewayConfig, ListenAddress } from "../gateway-config.ts";
import { Exchange } from "./exchange.ts";
import { answerWithError } from "./request-facts.ts";
import { RequestGate } from "./request-gate.ts";
import { Tunnel } from "./tunnel.ts";
import type { Upstream } from "./upstream.ts";

/** Requests that one connection may send ahead of its answers; a client that sends more is cut off. */
const mostPipelined = 64;

/** The application's response headers; beyond it 502. */
const largestResponseHead = 64 * 1024;

interface Pipelined {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly expectsContinue: boolean;
}

/** The reverse proxy: accepts connections and hands each request to the gate. */
export class ProxyServer {
  readonly gate: RequestGate;
  readonly #config: BuiltinGatewayConfig;
  readonly #server: Server;
  readonly #agent: Agent;
  readonly #upstream: Upstream;
  readonly #tunnels = new Set<Tunnel>();
  /** Requests behind the one that a connection is busy with, in order (RFC 9112 section 9.3.2). */
  readonly #behind = new WeakMap<Socket, Pipelined[]>();
  #closing = false;

  constructor(config: BuiltinGatewayConfig, clock: Clock, log: Logger) {
    this.#config = config;
    this.gate = new RequestGate(
      config,
      clock,
      () => this.#holdTunnels(true),
      () => this.#holdTunnels(false),
    );
    this.#agent = new Agent({
      keepAlive: true,
      maxFreeSockets: 1024,
      scheduling: "lifo",
      timeout: config.upstreamKeepAliveTimeoutMs,
    });
    const isClosing = (): boolean => this.#closing;
    this.#upstream = {
      gate: this.gate,
      requestOptions: {
        ...config.upstream,
        agent: this.#agent,
        setHost: false,
        timeout: config.responseTimeoutMs,
        maxHeaderSize: Math.max(largestResponseHead, config.maxHeaderBytes),
      },
      idleTimeoutMs: config.idleTimeoutMs,
      forwarded: config.forwarded,
      drainExclude: config.drainExclude,
      log,
      get closing(): boolean {
        return isClosing();
      },
    };
    this.#server = createServer({
      maxHeaderSize: config.maxHeaderBytes,
      headersTimeout: config.headerTimeoutMs,
      // A body may take as long as it keeps moving, and waits for as long as a hold lasts.
      requestTimeout: 0,
      keepAliveTimeout: config.keepAliveTimeoutMs,
      connectionsCheckingInterval: Math.min(1000, config.headerTimeoutMs),
      noDelay: true,
      insecureHTTPParser: false,
      // Anything else that asks for an upgrade (h2c) is answered as if it had not.
      shouldUpgradeCallback: (request) => /^websocket$/i.test(request.headers.upgrade ?? ""),
    });
    this.#server.maxHeadersCount = 0;
    // For clients that neither send nor read: longer than a request may be silent for any other reason.
    this.#server.timeout = config.responseTimeoutMs + config.idleTimeoutMs + config.holdTimeoutMs;
    this.#server.on("request", (request, response) => this.#arrived({ request, response, expectsContinue: false }));
    this.#server.on("checkContinue", (request, response) =>
      this.#arrived({ request, response, expectsContinue: true }),
    );
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on("connect", (_request, socket) => {
      socket.end("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
  }

  /** @throws HoldfastError CONFIG_INVALID if the address cannot be had */
  async listen(): Promise<ListenAddress> {
    const { host, port } = this.#config.listen;
    const listening = once(this.#server, "listening");
    this.#server.listen({ host, port, backlog: 4096 });
    try {
      await listening;
    } catch (error) {
      throw new HoldfastError("CONFIG_INVALID", `The gateway cannot listen on ${host}:${port}: ${String(error)}`, {
        facts: { host, port, reason: systemErrorCode(error) ?? "" },
        remedy: "End what listens there, or change gateway.listen.",
        cause: error,
      });
    }
    // A connection that cannot be accepted, for want of file descriptors, must not end all the others.
    this.#server.on("error", (error) => this.#upstream.log.error("A connection failed.", { reason: error.message }));
    const address = this.#server.address() as AddressInfo;
    return { host: address.address, port: address.port };
  }

  /** WebSockets that are open. */
  get tunnelCount(): number {
    let open = 0;
    for (const tunnel of this.#tunnels) if (tunnel.open) open += 1;
    return open;
  }

  /** Accepts no more connections, finishes the requests, and cuts off what is left after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const tunnel of this.#tunnels) tunnel.close();
    const timer = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    // Connections whose last response had left its head before we knew are idle once it has ended.
    const idle = setInterval(() => this.#server.closeIdleConnections(), 50);
    await closed;
    clearInterval(idle);
    clearTimeout(timer);
    this.#agent.destroy();
  }

  #arrived(message: Pipelined): void {
    const { socket } = message.request;
    const behind = this.#behind.get(socket);
    if (behind === undefined) {
      this.#behind.set(socket, []);
      this.#begin(message);
    } else if (behind.length < mostPipelined) {
      behind.push(message);
    } else {
      socket.destroy();
    }
  }

  #begin(message: Pipelined): void {
    const { request, response, expectsContinue } = message;
    response.once("close", () => this.#next(request.socket));
    const coding = request.headers["transfer-encoding"];
    if (coding !== undefined && coding.trim().toLowerCase() !== "chunked") {
      answerWithError(response, 501, true, []);
      return;
    }
    if (this.gate.closed && request.url === this.#config.healthPath && request.method !== "POST") {
      answerHealthy(response);
      return;
    }
    this.gate.admit(new Exchange(this.#upstream, request, response, expectsContinue));
  }

  #next(socket: Socket): void {
    const behind = this.#behind.get(socket);
    const message = behind?.shift();
    if (socket.destroyed || message === undefined) this.#behind.delete(socket);
    else this.#begin(message);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const tunnel = new Tunnel(this.#upstream, request, socket, head, (closed) => this.#tunnels.delete(closed));
    this.#tunnels.add(tunnel);
    this.gate.admit(tunnel);
  }

  #holdTunnels(held: boolean): void {
    for (const tunnel of this.#tunnels) tunnel.hold(held);
  }
}

function answerHealthy(response: ServerResponse): void {
  const body = '{"status":"held"}\n';
  response.writeHead(200, [
    "Content-Type",
    "application/json",
    "Content-Length",
    String(body.length),
    "Cache-Control",
    "no-store",
  ]);
  response.end(body);
}
