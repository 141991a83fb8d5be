import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { HoldfastError, messageOf, systemErrorCode } from "../base/index.ts";
import { TrustedProxies } from "./http/client-address.ts";
import { type ControlSocketOptions, openControlSocket } from "./control-socket.ts";
import { RequestPipeline } from "./request-pipeline.ts";
import type { ApiServices } from "./server-facts.ts";

export interface ApiServerOptions {
  /** "127.0.0.1", "::1", "0.0.0.0". */
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
  /** PEM texts; without them the server speaks plain HTTP. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies?: readonly string[];
  /** What people and clients reach the server by, where that is not its own address. */
  readonly publicUrl?: string;
  /** Serves whoever may run commands on this machine as well, without a token. */
  readonly control?: ControlSocketOptions;
}

export interface RunningApiServer {
  /** Such as "http://127.0.0.1:4400". */
  readonly url: string;
  /** What links begin with: the public address if there is one. */
  readonly origin: string;
  /**
   * Takes no more connections, ends logs that somebody follows, lets running requests finish for `graceMs`, then cuts them
   * off. Idempotent.
   */
  stop(): Promise<void>;
}

/** For a client to send its request, and to keep a connection that it does not use. */
const timeouts = { headersMs: 10_000, requestMs: 30_000, keepAliveMs: 65_000 } as const;
/** How often Node looks for clients that are late. */
const connectionsCheckingInterval = 1000;
const graceMs = 10_000;
const mostConnections = 1000;

/** Serves the API. @throws HoldfastError CONFIG_INVALID if the address or the certificate cannot be used */
export async function startApiServer(services: ApiServices, options: ApiServerOptions): Promise<RunningApiServer> {
  const stopping = new AbortController();
  const server = createListener(options);
  server.headersTimeout = timeouts.headersMs;
  server.requestTimeout = timeouts.requestMs;
  server.keepAliveTimeout = timeouts.keepAliveMs;
  server.maxConnections = mostConnections;
  server.on("connection", (socket) => socket.setKeepAlive(true, 30_000));
  // Before the address, so that nobody is told of it who then finds no socket.
  const control = options.control === undefined ? undefined : await openControlSocket(options.control, services.log);
  try {
    await listen(server, options);
  } catch (error) {
    if (control !== undefined) await closeServer(control.server);
    throw error;
  }

  const { port } = server.address() as AddressInfo;
  const shownHost = options.host.includes(":") ? `[${options.host}]` : options.host;
  const url = `${options.tls === undefined ? "http" : "https"}://${shownHost}:${port}`;
  const origin = (options.publicUrl ?? url).replace(/\/+$/, "");
  const pipeline = new RequestPipeline(services, {
    proxies: new TrustedProxies(options.trustedProxies ?? []),
    origin,
    stopping: stopping.signal,
  });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => void pipeline.serve(request, response));
  control?.server.on(
    "request",
    (request: IncomingMessage, response: ServerResponse) => void pipeline.serve(request, response, control.owner),
  );

  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    const closing = [server, ...(control === undefined ? [] : [control.server])].map(closeServer);
    // After they take no more: a log that ends then closes its connection.
    stopping.abort();
    await Promise.all(closing);
    await control?.cleanUp();
  };
  return { url, origin, stop: () => (stopped ??= stop()) };
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  // Those whose answer ends meanwhile would be kept for a next request.
  const idle = setInterval(() => server.closeIdleConnections(), 100);
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearInterval(idle);
  clearTimeout(timer);
}

function createListener({ tls }: ApiServerOptions): Server {
  if (tls === undefined) return createServer({ connectionsCheckingInterval });
  try {
    return createTlsServer({ connectionsCheckingInterval, cert: tls.certificate, key: tls.key, minVersion: "TLSv1.2" });
  } catch (error) {
    throw new HoldfastError("CONFIG_INVALID", `The server's certificate or key cannot be used: ${messageOf(error)}.`, {
      remedy: "Look at server.tls in the configuration: both files are PEM, and belong together.",
      cause: error,
    });
  }
}

async function listen(server: Server, { host, port }: ApiServerOptions): Promise<void> {
  try {
    server.listen({ host, port });
    await once(server, "listening");
  } catch (error) {
    const code = systemErrorCode(error) ?? "";
    const reason =
      code === "EADDRINUSE"
        ? "another process listens there"
        : code === "EADDRNOTAVAIL"
          ? "this machine has no such address"
          : messageOf(error);
    throw new HoldfastError("CONFIG_INVALID", `The server cannot listen on ${host}:${port}: ${reason}.`, {
      facts: { host, port, code },
      remedy: "Look at server.listen in the configuration.",
      cause: error,
    });
  }
}
