import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";

/** A request that the application got, as it saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly startedAtMs: number;
  endedAtMs: number | undefined;
}

/**
 * A small application for tests of gateways. `/echo` answers with the body it got; `/slow?ms=N` after a while;
 * `/stream?n=N&ms=M` in pieces; `/hang` never; an upgrade on any path echoes bytes. Everything else: "ok".
 */
export class TestApplication {
  readonly seen: SeenRequest[] = [];
  /** Bytes that came over upgraded connections, with their time. */
  readonly messages: { readonly text: string; readonly atMs: number }[] = [];
  running = 0;
  mostRunning = 0;
  /** Connections accepted so far. */
  connections = 0;
  readonly #server: Server;
  readonly #upgraded = new Set<Duplex>();

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on("connection", () => {
      this.connections += 1;
    });
    this.#server.on("upgrade", (request, socket) => this.#upgrade(request, socket));
  }

  /** Listens on `port` of the loopback address, by default any free one. */
  static async start(port = 0): Promise<TestApplication> {
    const application = new TestApplication();
    application.#server.listen(port, "127.0.0.1");
    await once(application.#server, "listening");
    return application;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Breaks off everything, as a crash would. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    for (const socket of this.#upgraded) socket.destroy();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen: SeenRequest = {
      method: request.method ?? "",
      url: request.url ?? "",
      rawHeaders: request.rawHeaders,
      startedAtMs: performance.now(),
      endedAtMs: undefined,
    };
    this.seen.push(seen);
    this.running += 1;
    this.mostRunning = Math.max(this.mostRunning, this.running);
    response.once("close", () => {
      this.running -= 1;
      seen.endedAtMs = performance.now();
    });
    request.on("error", () => response.destroy());
    try {
      await this.#respond(request, response, seen);
    } catch (error) {
      // The client broke off in its body.
      response.destroy(error instanceof Error ? error : undefined);
    }
  }

  async #respond(request: IncomingMessage, response: ServerResponse, seen: SeenRequest): Promise<void> {
    const url = new URL(seen.url, "http://application");
    switch (url.pathname) {
      case "/echo":
        response.writeHead(200, { "content-type": request.headers["content-type"] ?? "application/octet-stream" });
        request.pipe(response, { end: false });
        await once(request, "end");
        response.addTrailers(request.trailers as Record<string, string>);
        response.end();
        break;
      case "/digest": {
        const hash = createHash("sha256");
        for await (const chunk of request) hash.update(chunk as Buffer);
        response.end(hash.digest("hex"));
        break;
      }
      case "/slow":
        await wait(Number(url.searchParams.get("ms")));
        response.end("slow\n");
        break;
      case "/stream":
        for (let piece = 0; piece < Number(url.searchParams.get("n")); piece += 1) {
          response.write(`piece ${piece}\n`);
          await wait(Number(url.searchParams.get("ms")));
        }
        response.end();
        break;
      case "/hang":
        break;
      default:
        response.end("ok\n");
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex): void {
    const key = request.headers["sec-websocket-key"] ?? "";
    // RFC 6455 section 1.3.
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    this.#upgraded.add(socket);
    socket.on("data", (chunk: Buffer) => {
      this.messages.push({ text: chunk.toString(), atMs: performance.now() });
      socket.write(chunk);
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#upgraded.delete(socket));
  }
}
