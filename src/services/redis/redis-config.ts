import { z } from "zod";

function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return url.protocol === "unix:" ? url.pathname.length > 1 : /^rediss?:$/.test(url.protocol) && url.hostname !== "";
}

/** `{ type: "redis", url: "redis://user:password@host:6379" }`; also Valkey. */
export const redisConfigSchema = z
  .strictObject({
    type: z.literal("redis"),
    /**
     * `redis://`, `rediss://` (TLS, certificate verified) or `unix:///path/of/socket`. A user and password are optional;
     * a database number at the end has no meaning: all logical databases belong to the service.
     */
    url: z.string().refine(isRedisUrl, "must look like redis://user:password@host:6379, rediss://... or unix:///path"),
    /** Prefix under which the connection is made, by socat, nc or bash on the other side. */
    exec: z.array(z.string().min(1)).optional(),
  })
  .refine((config) => config.exec === undefined || !config.url.startsWith("unix:"), {
    message: "a unix socket cannot be reached through exec; use redis://127.0.0.1:6379",
    path: ["url"],
  });

export type RedisConfig = z.infer<typeof redisConfigSchema>;

/** Where a server is and who we are there. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly socketPath: string | undefined;
  readonly tls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly exec: readonly string[];
  /** For messages: without user and password. */
  readonly label: string;
}

export function redisAddress(config: RedisConfig): RedisAddress {
  const url = new URL(config.url);
  const port = url.port === "" ? 6379 : Number(url.port);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const socketPath = url.protocol === "unix:" ? decodeURIComponent(url.pathname) : undefined;
  return {
    host,
    port,
    socketPath,
    tls: url.protocol === "rediss:",
    user: url.username === "" ? undefined : decodeURIComponent(url.username),
    password: url.password === "" ? undefined : decodeURIComponent(url.password),
    exec: config.exec ?? [],
    label: socketPath ?? `${url.hostname}:${port}`,
  };
}
