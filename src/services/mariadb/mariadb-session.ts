import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import { type ClientTool, runClientTool, startClientTool } from "../client-tool/client-tool.ts";
import { connectionPlace, type MariadbConnection } from "./mariadb-config.ts";
import { clientError, serverErrorNumber, serverErrors } from "./mariadb-errors.ts";
import { unescapeField } from "./sql-text.ts";

const newline = 0x0a;
/** Bytes that a mark, the number after it and the line break do not exceed. */
const markLimit = 64;
const openTimeoutMs = 20_000;
/** Statements sent ahead of their answers. */
const batchSize = 64;

export interface SessionOptions {
  /** Whether comments within statements reach the server (default true); a session for `load` wants them dropped. */
  readonly comments?: boolean;
  /** For `stream`: the client prints values as they are. `query` is good only for values without tabs and line breaks then. */
  readonly raw?: boolean;
}

/**
 * A conversation with the server through one long-lived client program, which works under every `exec` prefix. The client
 * ends at the first error, and with it the session: so an answer without its closing mark never counts as complete.
 *
 * One statement at a time; callers wait for each other.
 */
export class MariadbSession {
  readonly #connection: MariadbConnection;
  readonly #tool: ClientTool;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #mark: string;
  readonly #delimiter: string;
  /** Read from the client and not yet looked at. */
  #rest: Buffer = Buffer.alloc(0);
  #statements = 0;
  #turn: Promise<void> = Promise.resolve();
  #closed = false;
  #id = 0;

  private constructor(connection: MariadbConnection, program: string, options: SessionOptions) {
    const nonce = randomBytes(6).toString("hex");
    this.#connection = connection;
    this.#mark = `hf-${nonce}`;
    // The client takes up to 15 characters.
    this.#delimiter = `$${nonce}$`;
    const args = [
      ...clientArgs(connection),
      options.comments === false ? "--skip-comments" : "--comments",
      ...(options.raw === true ? ["--raw"] : []),
    ];
    this.#tool = startClientTool(program, [...args, `--delimiter=${this.#delimiter}`], {
      exec: connection.exec,
      secrets: { MYSQL_PWD: connection.password },
    });
    this.#chunks = (this.#tool.stdout as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  /**
   * Connects and sets the session up: utf8mb4, UTC, empty sql_mode, no time limits. `comments` tells whether comments within
   * statements reach the server (default true); a session for `load` wants them dropped.
   * @throws HoldfastError SERVICE_UNREACHABLE, SERVICE_LOGIN_FAILED, TOOL_MISSING
   */
  static async open(connection: MariadbConnection, options: SessionOptions = {}): Promise<MariadbSession> {
    const session = new MariadbSession(connection, await clientProgram(connection), options);
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      void session.close();
    }, openTimeoutMs);
    try {
      const [row] = await session.query("SELECT CONNECTION_ID(), VERSION()");
      session.#id = Number(row?.[0]);
      await session.queryAll(setUp(row?.[1]?.includes("MariaDB") === true));
      return session;
    } catch (error) {
      await session.close();
      if (!timedOut) throw error;
      throw new HoldfastError(
        "SERVICE_UNREACHABLE",
        `MariaDB at ${connectionPlace(connection)} did not answer within ${openTimeoutMs} ms.`,
        { remedy: "Check that the server runs, and the host and port in the service's url.", cause: error },
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /** The server's id of this connection, for KILL. */
  get id(): number {
    return this.#id;
  }

  /** Runs one statement; its rows as text, a NULL as "NULL" (use IFNULL where it matters). */
  async query(sql: string): Promise<string[][]> {
    const [rows] = await this.queryAll([sql]);
    return rows ?? [];
  }

  /** Runs statements one after the other without waiting for each answer; the rows of each. */
  async queryAll(statements: readonly string[]): Promise<string[][][]> {
    return this.#inTurn(async () => {
      const results: string[][][] = [];
      for (let at = 0; at < statements.length; at += batchSize) {
        const ends = statements.slice(at, at + batchSize).map((sql) => this.#send(sql, false));
        let rows: string[][] = [];
        for (const answered = results.length + ends.length; results.length < answered;) {
          for (const line of await this.#lines()) {
            const text = line.toString("utf8", 0, line.length - 1);
            if (text === ends[results.length - at]) {
              results.push(rows);
              rows = [];
            } else rows.push(text.split("\t").map(unescapeField));
          }
        }
      }
      return results;
    });
  }

  /** Feeds a script of statements that end in ";" and waits until the server has carried out the last one. */
  async load(script: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#inTurn(async () => {
      const { stdin, done } = this.#tool;
      // Settles as well when the client ends, since no room will come then; the answer tells why it ended.
      const ended = done.then(
        () => undefined,
        () => undefined,
      );
      stdin.write("DELIMITER ;\n");
      for await (const chunk of script) {
        if (stdin.destroyed || stdin.writableEnded) break;
        if (!stdin.write(chunk)) await Promise.race([once(stdin, "drain"), ended]);
      }
      stdin.write(`\nDELIMITER ${this.#delimiter}\n`);
      const end = this.#send("DO 0", false);
      for (const line of await this.#lines()) {
        const text = line.toString("utf8", 0, line.length - 1);
        if (text !== end) throw new HoldfastError("COMMAND_FAILED", `The script printed "${text.slice(0, 80)}".`);
      }
    });
  }

  /** The first field of the first row, or undefined. */
  async value(sql: string): Promise<string | undefined> {
    return (await this.query(sql))[0]?.[0];
  }

  /**
   * Runs a SELECT in a raw session and yields its rows as the client prints them, many at a time, no faster than they are
   * taken. The last field of each row has to end with `rowMark`, which is cut off, with the line break. Leaving early ends
   * the session. Returns what the server warned of, one text for each.
   */
  async *stream(sql: string): AsyncGenerator<Buffer[], string[]> {
    const leave = await this.#enter();
    let ended = false;
    try {
      const end = this.#send(sql, true).slice(this.#mark.length);
      const mark = Buffer.from(this.#mark);
      for (;;) {
        const answer = await this.#untilMark(mark);
        const rows: Buffer[] = [];
        let at = 0;
        for (let found = answer.indexOf(mark); found !== -1; found = answer.indexOf(mark, at)) {
          const after = found + mark.length;
          const stop = answer.indexOf(newline, after);
          if (stop === -1) break;
          if (stop > after) {
            if (answer.toString("latin1", after, stop) !== end) throw new TypeError("answers are out of order");
            if (rows.length > 0) yield rows;
            this.#rest = answer.subarray(stop + 1);
            ended = true;
            return answer
              .toString("utf8", at, found)
              .split("\n")
              .filter((line) => line !== "");
          }
          rows.push(answer.subarray(at, found));
          at = stop + 1;
        }
        this.#rest = answer.subarray(at);
        if (rows.length > 0) yield rows;
      }
    } finally {
      leave();
      if (!ended) await this.close();
    }
  }

  /** What each row of a stream has to end with; no data holds it. */
  get rowMark(): string {
    return this.#mark;
  }

  /** Ends the connection, also in the middle of a statement; what it had locked or begun is gone with it. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#tool.stdin.end();
    await this.#tool.kill();
  }

  #send(sql: string, withWarnings: boolean): string {
    this.#statements += 1;
    const end = `${this.#mark} ${this.#statements}`;
    const warnings = withWarnings ? `SHOW WARNINGS${this.#delimiter}\n` : "";
    this.#tool.stdin.write(`${sql}${this.#delimiter}\n${warnings}SELECT '${end}'${this.#delimiter}\n`);
    return end;
  }

  /** What has been read, and more, until there is at least one mark that ends in a line break. */
  async #untilMark(mark: Buffer): Promise<Buffer> {
    const pieces: Buffer[] = [this.#rest];
    // A mark may lie across two pieces: what is searched overlaps by more than it is long.
    let overlap = this.#rest.subarray(-markLimit);
    let found = hasWholeMark(this.#rest, mark);
    while (!found) {
      const next = await this.#chunks.next();
      if (next.done === true) throw await this.#failure();
      pieces.push(next.value);
      const searched = Buffer.concat([overlap, next.value]);
      found = hasWholeMark(searched, mark);
      overlap = searched.subarray(-markLimit);
    }
    return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
  }

  /** At least one complete line, each with its line break. */
  async #lines(): Promise<Buffer[]> {
    const pieces: Buffer[] = [this.#rest];
    let last = this.#rest.lastIndexOf(newline);
    while (last === -1) {
      const next = await this.#chunks.next();
      if (next.done === true) throw await this.#failure();
      pieces.push(next.value);
      last = next.value.lastIndexOf(newline);
    }
    const whole = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
    const end = whole.lastIndexOf(newline);
    this.#rest = whole.subarray(end + 1);
    const lines: Buffer[] = [];
    for (let at = 0; at <= end;) {
      const stop = whole.indexOf(newline, at) + 1;
      lines.push(whole.subarray(at, stop));
      at = stop;
    }
    return lines;
  }

  /** Why the client ended. */
  async #failure(): Promise<unknown> {
    const place = connectionPlace(this.#connection);
    try {
      this.#tool.stdin.end();
      await this.#tool.done;
    } catch (error) {
      const known = clientError(error, this.#connection);
      if (!this.#closed || serverErrorNumber(known) !== undefined) return known;
    }
    return new HoldfastError("SERVICE_UNREACHABLE", `The connection to MariaDB at ${place} was closed.`);
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const leave = await this.#enter();
    try {
      return await work();
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      leave();
    }
  }

  async #enter(): Promise<() => void> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    if (this.#closed) {
      resolve();
      throw new HoldfastError(
        "SERVICE_UNREACHABLE",
        `The connection to MariaDB at ${connectionPlace(this.#connection)} was closed.`,
      );
    }
    return resolve;
  }
}

/** Ends what another session of the same user is doing; no news if that has ended by itself. */
export async function killQuery(control: MariadbSession, id: number): Promise<void> {
  try {
    await control.query(`KILL QUERY ${id}`);
  } catch (error) {
    if (serverErrorNumber(error) !== serverErrors.noSuchThread) throw error;
  }
}

/** Arguments of the client program that no statement needs; never a secret. */
export function clientArgs(connection: MariadbConnection): string[] {
  return [
    // A password in an option file would win over MYSQL_PWD.
    "--no-defaults",
    "--batch",
    "--skip-column-names",
    "--unbuffered",
    "--quick",
    // Else the client takes some lines for commands of its own.
    "--binary-mode",
    "--skip-reconnect",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
    "--connect-timeout=10",
    ...(connection.socket === undefined
      ? ["--protocol=tcp", `--host=${connection.host}`, `--port=${connection.port}`]
      : [`--socket=${connection.socket}`]),
    ...(connection.sslCa === undefined ? [] : [`--ssl-ca=${connection.sslCa}`]),
    `--user=${connection.user}`,
  ];
}

/** "mariadb", or "mysql" where only that is installed. */
export async function clientProgram(connection: MariadbConnection): Promise<string> {
  for (const program of ["mariadb", "mysql"]) {
    try {
      await runClientTool(program, ["--version"], { exec: connection.exec, timeoutMs: openTimeoutMs });
      return program;
    } catch (error) {
      if (!isHoldfastError(error, "TOOL_MISSING") || error.facts["program"] !== program) throw error;
    }
  }
  throw new HoldfastError("TOOL_MISSING", "Neither mariadb nor mysql, the client program, is installed or in PATH.", {
    facts: { program: "mariadb" },
    remedy: "Install mariadb-client (or mysql-client), or set the service's exec prefix to where it is.",
  });
}

function setUp(isMariadb: boolean): string[] {
  const common = "SET SESSION sql_mode = '', time_zone = '+00:00', sql_quote_show_create = 1, wait_timeout = 2147483";
  const patient = "net_write_timeout = 31536000, net_read_timeout = 31536000";
  return isMariadb
    ? [
        `${common}, ${patient}, max_statement_time = 0, idle_transaction_timeout = 0`,
        "SET SESSION idle_readonly_transaction_timeout = 0, idle_write_transaction_timeout = 0",
      ]
    : [`${common}, ${patient}, max_execution_time = 0, information_schema_stats_expiry = 0`];
}

function hasWholeMark(bytes: Buffer, mark: Buffer): boolean {
  const at = bytes.indexOf(mark);
  return at !== -1 && bytes.indexOf(newline, at) !== -1;
}
