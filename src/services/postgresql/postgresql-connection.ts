import { HoldfastError, isHoldfastError, type OperationId } from "../../base/index.ts";
import { type ClientToolOptions, runClientTool } from "../client-tool/client-tool.ts";
import { type PostgresqlAddress, type PostgresqlConfig, parsePostgresqlUrl } from "./postgresql-config.ts";

/** How the client tools reach one server: address, exec prefix, environment. Opens nothing itself. */
export class PostgresqlConnection {
  readonly address: PostgresqlAddress;
  /** The name of our sessions in pg_stat_activity: "holdfast-" and the operation. */
  readonly applicationName: string;
  readonly #exec: readonly string[];

  constructor(config: PostgresqlConfig, operation: OperationId) {
    this.address = parsePostgresqlUrl(config.url);
    this.applicationName = `holdfast-${operation}`;
    this.#exec = config.exec ?? [];
  }

  /** For messages: "shop at 127.0.0.1:5432". */
  get label(): string {
    return `"${this.address.database}" at ${this.address.host}:${this.address.port}`;
  }

  toolOptions(signal?: AbortSignal): ClientToolOptions {
    const { host, port, user, password, libpq } = this.address;
    return {
      exec: this.#exec,
      env: {
        ...libpq,
        PGHOST: host,
        PGPORT: String(port),
        PGUSER: user,
        PGAPPNAME: this.applicationName,
        PGCLIENTENCODING: "UTF8",
        PGOPTIONS: "",
      },
      ...(password === undefined ? {} : { secrets: { PGPASSWORD: password } }),
      ...(signal === undefined ? {} : { signal }),
    };
  }

  /** `-d` argument: the database, with TCP keepalives so that an idle session survives firewalls and dead peers show. */
  databaseArgument(database = this.address.database): string {
    const quoted = database.replaceAll("\\", "\\\\").replaceAll("'", "\\'");
    return `--dbname=dbname='${quoted}' keepalives_idle=30 keepalives_interval=10 keepalives_count=6`;
  }

  /**
   * Why a session could not be opened. libpq gives no code for that, only text in the server's language, so we ask
   * differently: does the server answer (pg_isready), does another database let us in, is the database in its list?
   */
  async connectError(database: string, said: string, cause: unknown): Promise<HoldfastError> {
    if (isHoldfastError(cause, "TOOL_MISSING") || isHoldfastError(cause, "INTERRUPTED")) return cause;
    const { host, port, user } = this.address;
    const where = `${host}:${port}`;
    const facts = { host, port, user, database };
    if (!(await this.#answers())) {
      return new HoldfastError("SERVICE_UNREACHABLE", `PostgreSQL does not answer at ${where}: ${said}`, {
        facts,
        remedy: "Check that the server runs and that the host and port in the service's url are right.",
        cause,
      });
    }
    for (const other of ["postgres", "template1"].filter((name) => name !== database)) {
      const known = await this.#databaseKnown(other, database);
      if (known === false) {
        return new HoldfastError(
          "SERVICE_DATABASE_MISSING",
          `There is no database "${database}" on the PostgreSQL server at ${where}.`,
          { facts, remedy: "Correct the database name in the service's url, or create the database.", cause },
        );
      }
      if (known === true) {
        return new HoldfastError(
          "SERVICE_PERMISSION_MISSING",
          `PostgreSQL at ${where} does not let "${user}" into the database "${database}": ${said}`,
          { facts, remedy: `As a superuser: GRANT CONNECT ON DATABASE "${database}" TO "${user}";`, cause },
        );
      }
    }
    return new HoldfastError("SERVICE_LOGIN_FAILED", `PostgreSQL at ${where} refused the user "${user}": ${said}`, {
      facts,
      remedy: "Check user and password in the service's url, and the server's pg_hba.conf.",
      cause,
    });
  }

  async #answers(): Promise<boolean> {
    try {
      await runClientTool("pg_isready", ["--quiet", "--timeout=5"], { ...this.toolOptions(), timeoutMs: 20_000 });
      return true;
    } catch (error) {
      if (isHoldfastError(error, "COMMAND_FAILED") || isHoldfastError(error, "TIMEOUT")) return false;
      throw error;
    }
  }

  /** Whether `database` is in the server's list, as seen from `other`; undefined if `other` cannot be entered. */
  async #databaseKnown(other: string, database: string): Promise<boolean | undefined> {
    const args = ["-XAtq", "--no-password", "-v", `name=${database}`, this.databaseArgument(other)];
    const input = "SELECT count(*) FROM pg_catalog.pg_database WHERE datname = :'name';\n";
    try {
      return (await runClientTool("psql", args, { ...this.toolOptions(), input, timeoutMs: 20_000 })).trim() === "1";
    } catch (error) {
      if (isHoldfastError(error, "COMMAND_FAILED") || isHoldfastError(error, "TIMEOUT")) return undefined;
      throw error;
    }
  }
}
