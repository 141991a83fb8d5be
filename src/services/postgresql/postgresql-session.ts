import { randomBytes } from "node:crypto";
import { HoldfastError, isHoldfastError, throwIfAborted } from "../../base/index.ts";
import { type ClientTool, startClientTool } from "../client-tool/client-tool.ts";
import { TimeLimit } from "../client-tool/time-limit.ts";
import type { PostgresqlConnection } from "./postgresql-connection.ts";
import { SqlError } from "./postgresql-errors.ts";

/** The mark's line is shorter than this. */
const markLimit = 128;

/**
 * A long conversation with one server through psql: commands go to its standard input, and after each psql is told to
 * print a mark with the command's success and SQLSTATE. One command at a time.
 */
export class PostgresqlSession {
  readonly database: string;
  readonly #tool: ClientTool;
  readonly #connection: PostgresqlConnection;
  readonly #output: AsyncIterator<Buffer>;
  /** Begins with a backslash and a letter that COPY never writes after one, so that no data can look like it. */
  readonly #mark = `\\holdfast-${randomBytes(12).toString("hex")}`;
  #busy = false;
  #opened = false;
  #closed = false;

  private constructor(connection: PostgresqlConnection, database: string) {
    this.#connection = connection;
    this.database = database;
    this.#tool = startClientTool(
      "psql",
      [
        "-XAtq",
        "--no-password",
        "-v",
        "ON_ERROR_STOP=0",
        "-v",
        "VERBOSITY=verbose",
        connection.databaseArgument(database),
      ],
      connection.toolOptions(),
    );
    this.#output = (this.#tool.stdout as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  /**
   * Opens a session in `database` (default: the connection's own) and takes its timeouts off, so that it may wait.
   * The server has to answer within `timeoutMs` (default 30,000).
   * @throws HoldfastError TOOL_MISSING, SERVICE_UNREACHABLE, SERVICE_LOGIN_FAILED, SERVICE_DATABASE_MISSING,
   * SERVICE_PERMISSION_MISSING, TIMEOUT
   */
  static async open(
    connection: PostgresqlConnection,
    database = connection.address.database,
    timeoutMs = 30_000,
  ): Promise<PostgresqlSession> {
    const session = new PostgresqlSession(connection, database);
    try {
      const [row] = await session.rows<{ version: number }>(
        "SELECT current_setting('server_version_num')::int AS version",
        { timeoutMs },
      );
      session.#opened = true;
      // Whoever administers the server may have set limits for the role; a backup has to be slower than them.
      const off = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];
      if ((row?.version ?? 0) >= 140_000) off.push("idle_session_timeout");
      if ((row?.version ?? 0) >= 170_000) off.push("transaction_timeout");
      const settings = [
        ...off.map((name) => `SET ${name} = 0`),
        "SET client_min_messages = warning",
        "SET standard_conforming_strings = on",
        "SET tcp_keepalives_idle = 30",
      ];
      await session.execute(settings.join(" \\; "), { timeoutMs });
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /**
   * Runs one statement, or several joined by "\;" as one message to the server.
   * @throws SqlError; HoldfastError SERVICE_UNREACHABLE if the session is lost, TIMEOUT (and the session is closed)
   */
  async execute(sql: string, options: { readonly timeoutMs?: number } = {}): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.copyOut(sql, options)) chunks.push(chunk);
    return Buffer.concat(chunks).toString("utf8");
  }

  /** The rows of a query, by way of JSON. Errors as `execute`. */
  async rows<Row>(query: string, options: { readonly timeoutMs?: number } = {}): Promise<Row[]> {
    const text = await this.execute(`SELECT coalesce(json_agg(row_to_json(q)), '[]') FROM (${query}) AS q`, options);
    return JSON.parse(text) as Row[];
  }

  /** The output of a command in pieces. Errors as `execute`. */
  async *copyOut(
    sql: string,
    options: {
      readonly timeoutMs?: number;
      readonly signal?: AbortSignal;
    } = {},
  ): AsyncIterable<Buffer> {
    if (this.#busy) throw new TypeError("A PostgreSQL session runs one command at a time.");
    throwIfAborted(options.signal);
    if (this.#closed) throw this.#lost(undefined);
    this.#busy = true;
    using limit = new TimeLimit(options.timeoutMs, () => this.close());
    const onAbort = (): void => void this.close();
    options.signal?.addEventListener("abort", onAbort, { once: true });
    let ended = false;
    try {
      this.#tool.stdin.write(`${sql};\n\\echo '\\${this.#mark}' :ERROR :SQLSTATE\n`);
      const end = yield* this.#untilMark();
      ended = true;
      if (end.failed) {
        this.#tool.stdin.write(`\\echo :LAST_ERROR_MESSAGE\n\\echo '\\${this.#mark}' false 00000\n`);
        const message: Buffer[] = [];
        for await (const chunk of this.#drainToMark()) message.push(chunk);
        throw new SqlError(end.sqlState, Buffer.concat(message).toString("utf8").trim());
      }
    } catch (error) {
      if (error instanceof SqlError) throw error;
      throwIfAborted(options.signal);
      if (limit.passed) {
        throw new HoldfastError("TIMEOUT", `PostgreSQL did not answer within ${options.timeoutMs} ms.`, {
          facts: { host: this.#connection.address.host },
          cause: error,
        });
      }
      throw await this.#explain(error);
    } finally {
      options.signal?.removeEventListener("abort", onAbort);
      // A reader that left amidst the output leaves a conversation that nobody can take up again.
      if (!ended) await this.close();
      this.#busy = false;
    }
  }

  /** Ends psql and with it the session; an open transaction is rolled back. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#tool.kill();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *#untilMark(): AsyncGenerator<Buffer, { failed: boolean; sqlState: string }> {
    let held: Buffer = Buffer.alloc(0);
    for (;;) {
      const next = await this.#output.next();
      if (next.done === true) throw new Error("psql ended amidst a command");
      const bytes = held.length === 0 ? next.value : Buffer.concat([held, next.value]);
      // Nothing follows the mark until the next command is sent, so only the end has to be looked at.
      const tailAt = Math.max(0, bytes.length - markLimit);
      const tail = bytes.toString("latin1", tailAt);
      // Its first byte is its only backslash, so that it begins at the last one if at all.
      const at = tail.lastIndexOf("\\");
      const whole = at !== -1 && tail.startsWith(this.#mark, at);
      const begins = whole || (at !== -1 && this.#mark.startsWith(tail.slice(at)));
      const end = begins ? tailAt + at : bytes.length;
      if (end > 0) yield bytes.subarray(0, end);
      if (whole && tail.endsWith("\n")) {
        const [, failed = "", sqlState = ""] = tail.slice(at).trim().split(" ");
        return { failed: failed === "true", sqlState };
      }
      held = bytes.subarray(end);
    }
  }

  async *#drainToMark(): AsyncIterable<Buffer> {
    yield* this.#untilMark();
  }

  /** What psql's end means. */
  async #explain(error: unknown): Promise<unknown> {
    if (this.#closed) return this.#lost(error);
    this.#closed = true;
    let cause = error;
    try {
      await this.#tool.done;
    } catch (failure) {
      cause = failure;
    }
    if (isHoldfastError(cause, "TOOL_MISSING")) return cause;
    const said = this.#tool.stderr().replace(/^psql: (error: )?/, "");
    return this.#opened ? this.#lost(cause) : this.#connection.connectError(this.database, said, cause);
  }

  #lost(cause: unknown): HoldfastError {
    const said = this.#tool.stderr();
    return new HoldfastError(
      "SERVICE_UNREACHABLE",
      `The session with PostgreSQL database ${this.#connection.label} was lost${said === "" ? "." : `: ${said}`}`,
      { facts: { host: this.#connection.address.host, port: this.#connection.address.port }, cause },
    );
  }
}
