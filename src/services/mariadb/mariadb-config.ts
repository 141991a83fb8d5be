import { z } from "zod";

/** A MariaDB or MySQL database as the configuration names it. */
export const mariadbConfigSchema = z.strictObject({
  type: z.literal("mariadb"),
  /**
   * `mysql://user:password@host:3306/database`, also `mariadb://`. Reserved characters are percent-encoded. Options:
   * `?socket=/run/mysqld/mysqld.sock` (instead of host and port), `?ssl-ca=/path/ca.pem`.
   */
  url: z.string().refine(isConnectionUrl, {
    message: "must be mysql://USER:PASSWORD@HOST:PORT/DATABASE",
  }),
  /** The prefix under which the client program runs, such as `[docker, exec, -i, db]`. */
  exec: z.array(z.string().min(1)).optional(),
});

export type MariadbConfig = z.infer<typeof mariadbConfigSchema>;

/** The parts of a connection URL. */
export interface MariadbConnection {
  readonly host: string;
  readonly port: number;
  readonly socket: string | undefined;
  readonly sslCa: string | undefined;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly exec: readonly string[];
}

export function mariadbConnection(config: MariadbConfig): MariadbConnection {
  const parts = parseConnectionUrl(config.url);
  if (parts === undefined) throw new TypeError("The url is not mysql://USER:PASSWORD@HOST:PORT/DATABASE");
  return { ...parts, exec: config.exec ?? [] };
}

/** "127.0.0.1:3306/shop" or "/run/mysqld/mysqld.sock/shop", for messages: no user, no password. */
export function connectionPlace(connection: MariadbConnection): string {
  const server = connection.socket ?? `${connection.host}:${connection.port}`;
  return `${server}/${connection.database}`;
}

function isConnectionUrl(text: string): boolean {
  return parseConnectionUrl(text) !== undefined;
}

function parseConnectionUrl(text: string): Omit<MariadbConnection, "exec"> | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.protocol !== "mysql:" && url.protocol !== "mariadb:") return undefined;
  const allowed = new Set(["socket", "ssl-ca"]);
  if ([...url.searchParams.keys()].some((name) => !allowed.has(name))) return undefined;
  try {
    const database = decodeURIComponent(url.pathname.slice(1));
    if (database === "" || database.includes("/") || database.includes("\0") || url.username === "") return undefined;
    return {
      host: url.hostname === "" ? "127.0.0.1" : url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: url.port === "" ? 3306 : Number(url.port),
      socket: url.searchParams.get("socket") ?? undefined,
      sslCa: url.searchParams.get("ssl-ca") ?? undefined,
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database,
    };
  } catch (error) {
    // A lone "%" in the URL.
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
