import { z } from "zod";
import { parseDurationMs } from "../base/index.ts";

/** A duration as people write it ("15s"); milliseconds once parsed. */
const duration = (standard: string) =>
  z
    .string()
    .default(standard)
    .transform((text, context) => {
      const durationMs = parseDurationMs(text);
      if (durationMs !== undefined && durationMs > 0) return durationMs;
      context.addIssue({ code: "custom", message: `"${text}" is no duration such as 500ms, 15s or 2m` });
      return z.NEVER;
    });

/** Where the gateway accepts connections. Port 0 takes any free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Where the application listens: a TCP address or a Unix socket. */
export type UpstreamAddress = { readonly host: string; readonly port: number } | { readonly socketPath: string };

const listenAddress = z.string().transform((text, context): ListenAddress => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65_535) return { host: match[1] ?? (match[2] || "0.0.0.0"), port };
  context.addIssue({ code: "custom", message: `"${text}" is no address such as 127.0.0.1:8080 or [::1]:8080` });
  return z.NEVER;
});

const upstreamAddress = z.string().transform((text, context): UpstreamAddress => {
  if (text.startsWith("unix:/")) return { socketPath: text.slice("unix:".length) };
  const url = URL.parse(text);
  if (url !== null && url.protocol === "http:" && url.pathname === "/" && url.search === "" && url.username === "") {
    return { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? 80 : Number(url.port) };
  }
  const message = `"${text}" is no upstream such as http://127.0.0.1:3000 or unix:/run/app.sock (no path, no https)`;
  context.addIssue({ code: "custom", message });
  return z.NEVER;
});

const path = z.string().regex(/^\/[^?#]*$/, "must be a path that starts with / and has no query");
const count = z.int().positive();
const command = z.array(z.string()).min(1, "must name a program").readonly();

const builtinGatewaySchema = z
  .strictObject({
    type: z.literal("builtin"),
    /** "127.0.0.1:8080", "[::1]:8080" or ":8080" for all addresses. */
    listen: listenAddress,
    /** "http://127.0.0.1:3000" or "unix:/run/app.sock". */
    upstream: upstreamAddress,
    /** How long running requests may take to finish. */
    drainTimeout: duration("15s"),
    /** How long a hold may last, drain included. */
    holdTimeout: duration("30s"),
    /** While requests are held, the gateway itself answers this path with 200; otherwise the application does. */
    healthPath: path.optional(),
    /** Requests below these paths (event streams) are not waited for by a drain. They must not write. */
    drainExclude: z.array(path).readonly().default([]),
    /** Requests that may wait during a hold; further ones are answered with 503. */
    maxWaitingRequests: count.default(10_000),
    /** Memory that waiting requests may take; further ones are answered with 503. */
    maxWaitingBytes: count.default(256 * 1024 * 1024),
    /** Request line and headers together; beyond it 431. */
    maxHeaderBytes: count.default(32 * 1024),
    /** How long a client may take to send its headers; beyond it 408. */
    headerTimeout: duration("15s"),
    /** How long the application may be silent before it answers; beyond it 504. */
    responseTimeout: duration("60s"),
    /** How long a body that has begun, or an upgraded connection, may be silent. */
    idleTimeout: duration("5m"),
    /** How long a client's connection without a request stays open. */
    keepAliveTimeout: duration("65s"),
    /** How long a connection to the application stays open unused. Keep it below the application's own limit. */
    upstreamKeepAliveTimeout: duration("4s"),
    /** `append` trusts the X-Forwarded-* headers of a proxy in front; `replace` overwrites what clients send. */
    forwarded: z.enum(["append", "replace"]).default("append"),
  })
  .transform((given) => ({
    type: given.type,
    listen: given.listen,
    upstream: given.upstream,
    drainTimeoutMs: given.drainTimeout,
    holdTimeoutMs: given.holdTimeout,
    healthPath: given.healthPath,
    drainExclude: given.drainExclude,
    maxWaitingRequests: given.maxWaitingRequests,
    maxWaitingBytes: given.maxWaitingBytes,
    maxHeaderBytes: given.maxHeaderBytes,
    headerTimeoutMs: given.headerTimeout,
    responseTimeoutMs: given.responseTimeout,
    idleTimeoutMs: given.idleTimeout,
    keepAliveTimeoutMs: given.keepAliveTimeout,
    upstreamKeepAliveTimeoutMs: given.upstreamKeepAliveTimeout,
    forwarded: given.forwarded,
  }));

const commandGatewaySchema = z
  .strictObject({
    type: z.literal("command"),
    /** Drains and holds; exits with 0 once no request runs. */
    hold: command,
    /** Lets requests go on. Must do no harm if nothing is held. */
    release: command,
    drainTimeout: duration("15s"),
    holdTimeout: duration("30s"),
  })
  .transform((given) => ({
    type: given.type,
    hold: given.hold,
    release: given.release,
    drainTimeoutMs: given.drainTimeout,
    holdTimeoutMs: given.holdTimeout,
  }));

/** The `gateway` entry of an environment in the configuration file. Unknown keys are errors. */
export const gatewayConfigSchema = z.discriminatedUnion("type", [builtinGatewaySchema, commandGatewaySchema]);

/** The parsed entry: durations in milliseconds, defaults filled in. */
export type GatewayConfig = z.output<typeof gatewayConfigSchema>;
export type BuiltinGatewayConfig = Extract<GatewayConfig, { type: "builtin" }>;
