import { type ClientRequest, type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http";
import { systemErrorCode } from "../../base/index.ts";
import { endToEndHeaders, hasBody, headerPairs, upstreamRequestHeaders } from "./forwarded-headers.ts";
import type { GatedRequest } from "./request-gate.ts";
import type { Upstream } from "./upstream.ts";
import { answerWithError, bodyAllowance, headerBytes, isIn, pathOf, targetOf } from "./request-facts.ts";

const repeatable = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);
const readOnly = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);
const mostAttempts = 3;

/** One request and its response on their way through the gateway. */
export class Exchange implements GatedRequest {
  readonly method: string;
  readonly path: string;
  readonly drained: boolean;
  readonly #upstream: Upstream;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #expectsContinue: boolean;
  readonly #hasBody: boolean;
  #outgoing: ClientRequest | undefined;
  #incoming: IncomingMessage | undefined;
  #attempts = 0;
  /** The application's response has begun. */
  #responded = false;
  #clientGone = false;
  #ended = false;

  constructor(upstream: Upstream, request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) {
    this.#upstream = upstream;
    this.#request = request;
    this.#response = response;
    this.#expectsContinue = expectsContinue;
    this.#hasBody = hasBody(request);
    this.method = request.method ?? "GET";
    this.path = pathOf(request);
    this.drained = !isIn(this.path, upstream.drainExclude);
    response.on("close", () => this.#clientClosed());
    response.on("error", () => this.#clientClosed());
  }

  get waitingBytes(): number {
    return headerBytes(this.#request) + (this.#hasBody ? bodyAllowance : 0);
  }

  start(): void {
    const request = this.#request;
    this.#attempts += 1;
    let outgoing: ClientRequest;
    try {
      outgoing = httpRequest({
        ...this.#upstream.requestOptions,
        method: this.method,
        path: targetOf(request),
        headers: upstreamRequestHeaders(request, { mode: this.#upstream.forwarded }),
      });
    } catch (error) {
      this.#upstream.log.warn("A request could not be passed on.", { path: this.path, reason: String(error) });
      this.#fail(400);
      return;
    }
    this.#outgoing = outgoing;
    outgoing.on("response", (incoming) => this.#relay(incoming, outgoing));
    outgoing.on("error", (error) => this.#upstreamFailed(outgoing, error));
    outgoing.on("timeout", () => this.#upstreamSilent(outgoing));
    if (this.#expectsContinue) outgoing.on("continue", () => this.#response.writeContinue());
    outgoing.on("information", (info) => this.#relayHints(info));
    if (this.#hasBody) this.#sendBody(outgoing);
    else outgoing.end();
  }

  refuse(retryAfterSeconds: number): void {
    this.#ended = true;
    answerWithError(this.#response, 503, this.#hasBody, ["Retry-After", String(retryAfterSeconds)]);
  }

  #sendBody(outgoing: ClientRequest): void {
    const request = this.#request;
    request.on("data", (chunk: Buffer) => {
      if (!outgoing.write(chunk)) request.pause();
    });
    outgoing.on("drain", () => request.resume());
    request.on("end", () => {
      if (request.rawTrailers.length > 0) outgoing.addTrailers(headerPairs(request.rawTrailers));
      outgoing.end();
    });
    // A client that breaks off in its body also closes its response, which is where that is dealt with.
    request.on("error", () => this.#clientClosed());
  }

  #relay(incoming: IncomingMessage, outgoing: ClientRequest): void {
    this.#responded = true;
    this.#incoming = incoming;
    outgoing.setTimeout(this.#upstream.idleTimeoutMs);
    incoming.on("end", () => this.#upstreamEnded(incoming, outgoing));
    incoming.on("error", () => this.#upstreamBrokeOff());
    if (this.#clientGone) {
      incoming.resume();
      return;
    }
    const response = this.#response;
    try {
      const headers = endToEndHeaders(incoming.rawHeaders);
      if (this.#upstream.closing) headers.push("Connection", "close");
      response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage ?? "", headers);
    } catch (error) {
      this.#upstream.log.warn("The application's response is malformed.", { path: this.path, reason: String(error) });
      outgoing.destroy();
      this.#fail(502);
      return;
    }
    const wholeLength = Number(incoming.headers["content-length"] ?? Number.NaN);
    let passed = 0;
    incoming.on("data", (chunk: Buffer) => {
      passed += chunk.length;
      // Ended with its last byte, head and body leave in one packet.
      if (passed === wholeLength) response.end(chunk);
      else if (!response.write(chunk)) incoming.pause();
    });
    response.on("drain", () => incoming.resume());
    // The head of a stream must not wait for its first byte.
    setImmediate(() => {
      if (passed === 0 && !response.writableEnded && !response.destroyed) response.flushHeaders();
    });
  }

  #relayHints(info: { statusCode: number; rawHeaders: string[] }): void {
    if (info.statusCode !== 103 || this.#request.httpVersionMinor === 0 || this.#clientGone) return;
    const links = headerPairs(info.rawHeaders).filter(([name]) => name.toLowerCase() === "link");
    if (links.length > 0) this.#response.writeEarlyHints({ link: links.map(([, value]) => value) });
  }

  #upstreamEnded(incoming: IncomingMessage, outgoing: ClientRequest): void {
    const response = this.#response;
    if (!this.#clientGone && !response.writableEnded) {
      if (incoming.rawTrailers.length > 0) response.addTrailers(headerPairs(incoming.rawTrailers));
      response.end();
    }
    if (!outgoing.writableEnded) {
      // Answered before the body was read to its end: the rest has no taker.
      this.#request.removeAllListeners("data");
      this.#request.resume();
      outgoing.destroy();
    }
    this.#end();
  }

  /** The response ended before its last byte: the client must see that, not a shorter response. */
  #upstreamBrokeOff(): void {
    if (this.#ended) return;
    this.#upstream.log.warn("The application broke off a response.", { path: this.path });
    this.#response.destroy();
    this.#end();
  }

  #upstreamSilent(outgoing: ClientRequest): void {
    if (this.#ended) return;
    if (this.#responded) {
      this.#response.destroy();
      this.#end();
    } else {
      this.#upstream.log.warn("The application did not answer in time.", { path: this.path });
      this.#fail(504);
    }
    outgoing.destroy();
  }

  #upstreamFailed(outgoing: ClientRequest, error: Error): void {
    if (this.#ended || outgoing !== this.#outgoing) return;
    if (this.#responded) {
      // The response may be complete in the buffers although the connection broke for our sending: its own end decides.
      if (this.#incoming?.complete !== true) this.#upstreamBrokeOff();
      return;
    }
    if (this.#clientGone) {
      this.#end();
      return;
    }
    // The application closed an idle connection in the moment that it was taken up again: no request was read.
    const stale = outgoing.reusedSocket && ["ECONNRESET", "EPIPE"].includes(systemErrorCode(error) ?? "");
    if (stale && !this.#hasBody && repeatable.has(this.method) && this.#attempts < mostAttempts) {
      this.start();
      return;
    }
    this.#upstream.log.warn("The application could not be reached.", { path: this.path, reason: error.message });
    this.#fail(502);
  }

  #clientClosed(): void {
    if (this.#clientGone || this.#response.writableFinished) return;
    this.#clientGone = true;
    if (this.#ended || this.#upstream.gate.abandon(this)) {
      this.#ended = true;
      return;
    }
    const outgoing = this.#outgoing;
    if (outgoing === undefined) return;
    // A write that the application has got whole goes on there, whoever has left. A drain has to wait for its end.
    const goesOn = !readOnly.has(this.method) && outgoing.writableEnded && !this.#responded;
    if (goesOn) return;
    this.#end();
    outgoing.destroy();
  }

  #fail(status: 400 | 502 | 504): void {
    this.#upstream.gate.failedAfterHold(this);
    if (!this.#clientGone) {
      if (this.#response.headersSent) this.#response.destroy();
      else answerWithError(this.#response, status, this.#hasBody && !this.#request.complete, []);
    }
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#upstream.gate.finish(this);
  }
}
