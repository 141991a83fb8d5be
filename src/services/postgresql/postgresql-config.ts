import { z } from "zod";
import { messageOf } from "../../base/index.ts";

/** Where a PostgreSQL database is and who asks. */
export interface PostgresqlAddress {
  /** Host name, address, or the absolute path of a socket folder. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Undefined where the server asks for none, or libpq finds it in ~/.pgpass. */
  readonly password: string | undefined;
  readonly database: string;
  /** libpq's own variables that follow from the URL's parameters: `{ PGSSLMODE: "require" }`. */
  readonly libpq: Readonly<Record<string, string>>;
}

/** Parameters of a URL that we hand on to libpq, by the variable that carries them. */
const libpqVariables: Readonly<Record<string, string>> = {
  sslmode: "PGSSLMODE",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  sslcrl: "PGSSLCRL",
  channel_binding: "PGCHANNELBINDING",
  connect_timeout: "PGCONNECT_TIMEOUT",
  target_session_attrs: "PGTARGETSESSIONATTRS",
  krbsrvname: "PGKRBSRVNAME",
  gssencmode: "PGGSSENCMODE",
};

/**
 * Takes "postgresql://user:password@host:5432/database?sslmode=require" apart. A socket folder is given percent-encoded
 * in place of the host or as `?host=/var/run/postgresql`. Host defaults to 127.0.0.1, port to 5432.
 * @throws TypeError, with a message fit for the configuration's author and without the password.
 */
export function parsePostgresqlUrl(text: string): PostgresqlAddress {
  // libpq allows no host before the path; URL does only without user information.
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^postgres(ql)?:$/.test(url.protocol)) {
    throw new TypeError('must look like "postgresql://user:password@host:5432/database"');
  }
  const libpq: Record<string, string> = { PGCONNECT_TIMEOUT: "10" };
  let host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, "$1");
  let port = url.port;
  for (const [name, value] of url.searchParams) {
    const variable = libpqVariables[name];
    if (name === "host") host = value;
    else if (name === "port") port = value;
    else if (variable !== undefined) libpq[variable] = value;
    else throw new TypeError(`has the parameter "${name}", which is not supported`);
  }
  const database = decodeURIComponent(url.pathname.replace(/^\//, ""));
  const user = decodeURIComponent(url.username);
  if (database === "") throw new TypeError("names no database (postgresql://.../DATABASE)");
  if (user === "") throw new TypeError("names no user (postgresql://USER:...)");
  if (!/^\d*$/.test(port)) throw new TypeError("has a port that is not a number");
  return {
    host: host === "" ? "127.0.0.1" : host,
    port: port === "" ? 5432 : Number(port),
    user,
    password: url.password === "" ? undefined : decodeURIComponent(url.password),
    database,
    libpq,
  };
}

/** `{ type: postgresql, url, exec }` of the configuration file. */
export const postgresqlConfigSchema = z.strictObject({
  type: z.literal("postgresql"),
  url: z.string().superRefine((text, context) => {
    try {
      parsePostgresqlUrl(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: messageOf(error) });
    }
  }),
  /** Prefix under which psql and pg_dump run: `[ssh, db-1]`, `[docker, exec, -i, db]`. */
  exec: z.array(z.string().min(1)).min(1).optional(),
});

export type PostgresqlConfig = z.infer<typeof postgresqlConfigSchema>;
