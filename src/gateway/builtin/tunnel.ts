import { type ClientRequest, type IncomingMessage, request as httpRequest, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { endToEndHeaders, hasBody, headerPairs, upstreamRequestHeaders } from "./forwarded-headers.ts";
import type { GatedRequest } from "./request-gate.ts";
import { errorPage, headerBytes, isIn, pathOf, targetOf } from "./request-facts.ts";
import type { Upstream } from "./upstream.ts";

/**
 * A WebSocket: an upgrade request, and after the application's 101 the bytes in both directions. The request counts as
 * running until it is answered; the open connection does not, but is paused while requests are held, because a
 * message can write as well as a request can.
 */
export class Tunnel implements GatedRequest {
  readonly method: string;
  readonly path: string;
  readonly drained: boolean;
  readonly #upstream: Upstream;
  readonly #request: IncomingMessage;
  readonly #client: Duplex;
  readonly #clientHead: Buffer;
  readonly #onClosed: (tunnel: Tunnel) => void;
  #outgoing: ClientRequest | undefined;
  #application: Duplex | undefined;
  #held = false;
  #closed = false;

  /** `onClosed` is called once, when both sides have gone. */
  constructor(
    upstream: Upstream,
    request: IncomingMessage,
    client: Duplex,
    clientHead: Buffer,
    onClosed: (tunnel: Tunnel) => void,
  ) {
    this.#upstream = upstream;
    this.#request = request;
    this.#client = client;
    this.#clientHead = clientHead;
    this.#onClosed = onClosed;
    this.method = request.method ?? "GET";
    this.path = pathOf(request);
    this.drained = !isIn(this.path, upstream.drainExclude);
    client.on("error", () => this.close());
    client.on("close", () => this.close());
  }

  /** True once bytes flow in both directions. */
  get open(): boolean {
    return this.#application !== undefined && !this.#closed;
  }

  get waitingBytes(): number {
    return headerBytes(this.#request) + this.#clientHead.length;
  }

  start(): void {
    const headers = ((): string[] | undefined => {
      try {
        // Node hands over no body with an upgrade; announced and not sent, it would swallow the next request's start.
        if (hasBody(this.#request)) throw new TypeError("The upgrade request has a body.");
        return upstreamRequestHeaders(this.#request, { mode: this.#upstream.forwarded });
      } catch (error) {
        this.#upstream.log.warn("An upgrade was refused.", { path: this.path, reason: String(error) });
        return undefined;
      }
    })();
    if (headers === undefined) {
      this.#answer(400, []);
      return;
    }
    headers.push("Connection", "Upgrade", "Upgrade", this.#request.headers.upgrade ?? "websocket");
    const outgoing = httpRequest({
      ...this.#upstream.requestOptions,
      method: this.method,
      path: targetOf(this.#request),
      headers,
    });
    this.#outgoing = outgoing;
    outgoing.on("upgrade", (incoming, application, head) => this.#join(incoming, application, head));
    outgoing.on("response", (incoming) => this.#refusedByApplication(incoming));
    outgoing.on("timeout", () => {
      if (this.#application === undefined) this.#answer(504, []);
      outgoing.destroy();
    });
    outgoing.on("error", (error) => {
      if (this.#application !== undefined || this.#closed) return;
      this.#upstream.log.warn("The application could not be reached.", { path: this.path, reason: error.message });
      this.#upstream.gate.failedAfterHold(this);
      this.#answer(502, []);
    });
    outgoing.end();
  }

  refuse(retryAfterSeconds: number): void {
    this.#answer(503, ["Retry-After", String(retryAfterSeconds)]);
  }

  /** While held, nothing passes in either direction. */
  hold(held: boolean): void {
    this.#held = held;
    const application = this.#application;
    if (application === undefined) return;
    if (held) {
      this.#client.pause();
      application.pause();
    } else {
      if (!application.writableNeedDrain) this.#client.resume();
      if (!this.#client.writableNeedDrain) application.resume();
    }
  }

  /** Ends both sides. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#upstream.gate.abandon(this)) this.#upstream.gate.finish(this);
    this.#outgoing?.destroy();
    if (this.#application !== undefined) endSoon(this.#application);
    endSoon(this.#client);
    this.#onClosed(this);
  }

  #join(incoming: IncomingMessage, application: Duplex, head: Buffer): void {
    if (this.#closed) {
      application.destroy();
      return;
    }
    this.#application = application;
    const client = this.#client;
    client.write(responseHead(incoming, ["Connection", "Upgrade", "Upgrade", incoming.headers.upgrade ?? "websocket"]));
    if (head.length > 0) client.write(head);
    if (this.#clientHead.length > 0) application.write(this.#clientHead);
    this.#pump(client, application);
    this.#pump(application, client);
    application.on("error", () => this.close());
    application.on("close", () => this.close());
    asSocket(application).setTimeout(this.#upstream.idleTimeoutMs, () => this.close());
    this.hold(this.#held || this.#upstream.gate.closed);
    this.#upstream.gate.finish(this);
  }

  #pump(from: Duplex, to: Duplex): void {
    from.on("data", (chunk: Buffer) => {
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => {
      if (!this.#held) from.resume();
    });
    from.on("end", () => this.close());
  }

  #refusedByApplication(incoming: IncomingMessage): void {
    this.#client.write(responseHead(incoming, ["Connection", "close"]));
    // Without a length the body ends with the connection, so that no framing is needed.
    incoming.on("data", (chunk: Buffer) => {
      if (!this.#client.write(chunk)) incoming.pause();
    });
    this.#client.on("drain", () => incoming.resume());
    incoming.on("end", () => this.close());
    incoming.on("error", () => {
      this.#client.destroy();
      this.close();
    });
  }

  #answer(status: number, headers: readonly string[]): void {
    const body = errorPage(status);
    const lines = headerPairs(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#client.write(
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
        `Content-Length: ${body.length}\r\n${lines.join("")}Connection: close\r\n\r\n${body}`,
    );
    this.close();
  }
}

/** Both ends of an HTTP connection are sockets, whatever the types of Node's events say. */
function asSocket(duplex: Duplex): Socket {
  return duplex as Socket;
}

/** Sends what has been written already, unless the other side takes none of it for five seconds, and closes. */
function endSoon(duplex: Duplex): void {
  const socket = asSocket(duplex);
  if (socket.destroyed) return;
  socket.setTimeout(5_000, () => socket.destroy());
  socket.resume();
  socket.destroySoon();
}

function responseHead(incoming: IncomingMessage, added: readonly string[]): Buffer {
  const headers = headerPairs([...endToEndHeaders(incoming.rawHeaders), ...added]);
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  // Header values are bytes to us; Node hands them over as latin1.
  return Buffer.from(`HTTP/1.1 ${incoming.statusCode} ${incoming.statusMessage}\r\n${lines}\r\n`, "latin1");
}
