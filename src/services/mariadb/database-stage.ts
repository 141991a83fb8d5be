import { HoldfastError, isHoldfastError, throwIfAborted } from "../../base/index.ts";
import type { Restorable, StageReport, StoredEntry, TargetContext } from "../../component/index.ts";
import { connectionPlace, type MariadbConnection } from "./mariadb-config.ts";
import { serverErrorNumber, serverErrors } from "./mariadb-errors.ts";
import { readSequences } from "./mariadb-sequences.ts";
import { permissionMissing, schemaExists, type ServerVersion } from "./mariadb-server.ts";
import type { MariadbSession } from "./mariadb-session.ts";
import { listTables } from "./mariadb-tables.ts";
import { openInRole, type OperationScope } from "./operation-sessions.ts";
import { readSequenceDefaults } from "./sequence-defaults.ts";
import { quoteAccount, quoteGrantPattern, quoteName, quoteText } from "./sql-text.ts";
import { createStatements, definerOf, dropStatement, parseObjects, type StoredObject } from "./stored-object.ts";
import type { StageRecord } from "./swap-journal.ts";
import { tableOfFile } from "./table-file.ts";

/** Scripts of views and the like are held in memory; this bounds what a hostile backup can do with that. */
const textLimitBytes = 256 * 1024 * 1024;

interface Staging {
  readonly context: TargetContext;
  readonly scope: OperationScope;
  readonly connection: MariadbConnection;
  readonly server: ServerVersion;
  readonly control: MariadbSession;
  /** The schema to fill: made here, must not exist. */
  readonly schema: string;
}

/** Loads a backup into a new schema and proves there that its views, routines and triggers can be created. */
export async function stageDatabase(
  staging: Staging,
  backup: Restorable,
): Promise<{ record: StageRecord; report: StageReport }> {
  const { context, connection, control, schema } = staging;
  const { description } = backup;
  refuseOtherProduct(staging, backup);
  await refuseLongRows(staging, Number(description.facts["longestRowBytes"] ?? 0));
  const characterSet = settingName(description.facts["characterSet"], "utf8mb4");
  const collation = settingName(description.facts["collation"], "utf8mb4_general_ci");
  await createSchema(staging, characterSet, collation);
  const loader = await openInRole(staging.scope, "loader", { comments: false });
  const closeLoader = (): void => void loader.close();
  context.signal.addEventListener("abort", closeLoader, { once: true });
  const objects: StoredObject[] = [];
  let whole = false;
  let borrowed: ReadonlySet<string> = new Set();
  let files = 0;
  let bytes = 0;
  try {
    await loader.query(`USE ${quoteName(schema)}`);
    for await (const entry of backup.entries) {
      throwIfAborted(context.signal);
      const path = entry.path.toString();
      if (entry.content === undefined) {
        if (path !== "" && path !== "tables") throw unknownEntry(path);
        continue;
      }
      if (path === "schema.sql") whole = true;
      else if (path === "sequences.sql") await loadScript(staging, loader, entry, "the sequences");
      else if (/^(events|routines|triggers|views)\.sql$/.test(path)) {
        objects.push(...parseObjects(await readText(staging, entry)));
      } else {
        const table = path.startsWith("tables/") ? tableOfFile(path.slice("tables/".length)) : undefined;
        if (table === undefined) throw unknownEntry(path);
        if (!whole && borrowed.size === 0) borrowed = await borrowSequences(staging, loader);
        await loadScript(staging, loader, entry, `table ${table}`);
        await refuseMissingRows(loader, table, description.counts[`table:${table}`]);
      }
      files += 1;
      bytes += entry.content.sizeBytes;
      context.progress({ files: 1, bytes: entry.content.sizeBytes });
    }
    throwIfAborted(context.signal);
  } catch (error) {
    throwIfAborted(context.signal);
    throw error;
  } finally {
    context.signal.removeEventListener("abort", closeLoader);
    await loader.close();
  }
  await tryObjects(staging, objects);
  const tables = (await listTables(control, schema)).map(({ name }) => name).filter((name) => !borrowed.has(name));
  const sequenceDefaults = await readSequenceDefaults(control, schema, schema);
  if (whole && tables.length < (description.counts["tables"] ?? 0)) {
    throw new HoldfastError("SERVICE_STAGE_FAILED", `The backup of ${connection.database} lacks some of its tables.`, {
      facts: { tables: tables.length, expected: description.counts["tables"] ?? 0 },
    });
  }
  throwIfAborted(context.signal);
  return {
    record: { whole, characterSet, collation, tables, objects, sequenceDefaults },
    report: { files, bytes, reusedBytes: 0 },
  };
}

async function createSchema(staging: Staging, characterSet: string, collation: string): Promise<void> {
  const { connection, schema } = staging;
  // In a session of its own: a refusal ends it.
  const session = await openInRole(staging.scope, "loader");
  try {
    await session.query(`CREATE DATABASE ${quoteName(schema)} CHARACTER SET ${characterSet} COLLATE ${collation}`);
  } catch (error) {
    if (serverErrorNumber(error) !== 1044) throw error;
    const account = (await staging.control.value("SELECT CURRENT_USER()")) ?? connection.user;
    const pattern = `${quoteGrantPattern(`${connection.database.slice(0, 44)}_hf_`).slice(0, -1)}%\`.*`;
    throw permissionMissing(account, ["ALL PRIVILEGES"], pattern, connection, "load a backup beside the live database");
  } finally {
    await session.close();
  }
}

async function loadScript(staging: Staging, loader: MariadbSession, entry: StoredEntry, what: string): Promise<void> {
  const { context } = staging;
  const { content } = entry;
  if (content === undefined) return;
  const tail = new Tail();
  try {
    await loader.load(tail.watch(context.contents.read(content, context.signal)));
  } catch (error) {
    throwIfAborted(context.signal);
    throw asStageFailure(error, what);
  }
  if (!/\n-- complete: \d+( rows)?\n$/.test(tail.text())) {
    throw new HoldfastError("REPOSITORY_DAMAGED", `The script of ${what} is not complete.`);
  }
}

/** Remembers the last bytes of a stream that passes through. */
class Tail {
  #last: Uint8Array = new Uint8Array();

  async *watch(stream: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    for await (const chunk of stream) {
      this.#last = Buffer.concat([this.#last, chunk.subarray(-64)]).subarray(-64);
      yield chunk;
    }
  }

  text(): string {
    return Buffer.from(this.#last).toString("latin1");
  }
}

async function readText({ context }: Staging, entry: StoredEntry): Promise<string> {
  const { content } = entry;
  if (content === undefined) return "";
  if (content.sizeBytes > textLimitBytes) {
    throw new HoldfastError("SERVICE_UNSUPPORTED", `${entry.path.toString()} in the backup is too large.`, {
      facts: { sizeBytes: content.sizeBytes, limitBytes: textLimitBytes },
    });
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of context.contents.read(content, context.signal)) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

async function refuseMissingRows(loader: MariadbSession, table: string, expected: number | undefined): Promise<void> {
  if (expected === undefined) return;
  const rows = Number(await loader.value(`SELECT COUNT(*) FROM ${quoteName(table)}`));
  // The rows of some engines are elsewhere and none of ours.
  if (rows === expected || expected === 0) return;
  throw new HoldfastError(
    "SERVICE_STAGE_FAILED",
    `Table ${table} has ${rows} rows after loading, and ${expected} in the backup.`,
    {
      facts: { table, rows, expected },
    },
  );
}

/** Creates views, routines and triggers in the staged schema and takes them off again: what cannot be created shows here. */
async function tryObjects(staging: Staging, objects: readonly StoredObject[]): Promise<void> {
  const { schema, context } = staging;
  // Events could begin to run.
  const tried = objects.filter(({ kind }) => kind !== "event");
  if (objects.length === 0) return;
  const session = await openInRole(staging.scope, "loader");
  try {
    await session.query(`USE ${quoteName(schema)}`);
    for (const object of inCreationOrder(tried)) {
      throwIfAborted(context.signal);
      try {
        await session.queryAll(createStatements(object));
      } catch (error) {
        throw asStageFailure(error, `${object.kind} ${object.name}`);
      }
    }
    await session.queryAll(tried.map((object) => dropStatement(object, schema)));
    await warnOfMissingDefiners(staging, session, objects);
  } finally {
    await session.close();
  }
}

/** The server creates an object whose DEFINER it does not know, and refuses to run it later. */
async function warnOfMissingDefiners(
  { context, schema, connection }: Staging,
  session: MariadbSession,
  objects: readonly StoredObject[],
): Promise<void> {
  const definers = new Set(objects.map(definerOf).filter((definer) => definer !== undefined));
  const view = `${quoteName(schema)}.holdfast_definer`;
  for (const definer of definers) {
    const answers = await session.queryAll([
      `CREATE DEFINER=${quoteAccount(definer)} VIEW ${view} AS SELECT 1`,
      "SHOW WARNINGS",
      `DROP VIEW ${view}`,
    ]);
    const missing = (answers[1] ?? []).some(([, number]) => Number(number) === serverErrors.noSuchDefiner);
    if (!missing) continue;
    const concerned = objects.filter((object) => definerOf(object) === definer);
    const [first] = concerned;
    context.warn({
      kind: "definer-missing",
      message: `MariaDB at ${connectionPlace(connection)} has no user ${definer}, the DEFINER of ${concerned.length} of the views, routines, triggers and events (${first?.kind} ${first?.name}): they are restored, and fail when used until it is there.`,
      facts: { definer, objects: concerned.length },
    });
  }
}

/**
 * Where only some tables come back, the live database's sequences stay. Columns with numbers from them can be created only where
 * there are such sequences: so the staged schema gets them as well, and they go with it.
 */
async function borrowSequences({ control, connection }: Staging, loader: MariadbSession): Promise<ReadonlySet<string>> {
  if (!(await schemaExists(control, quoteText(connection.database)))) return new Set();
  const live = await listTables(control, connection.database);
  const names = live.filter(({ type }) => type === "sequence").map(({ name }) => name);
  const sequences = await readSequences(control, connection.database, names);
  const there = new Set((await loader.query("SHOW TABLES")).map(([name]) => name));
  const missing = sequences.filter(({ name }) => !there.has(name));
  await loader.queryAll(missing.map(({ create }) => create));
  return new Set(missing.map(({ name }) => name));
}

/** Routines first, since views may call them; then views, triggers, events. */
export function inCreationOrder(objects: readonly StoredObject[]): StoredObject[] {
  const rank = { function: 0, procedure: 0, package: 0, "package body": 1, view: 2, trigger: 3, event: 4 } as const;
  return [...objects].sort((a, b) => rank[a.kind] - rank[b.kind]);
}

function asStageFailure(error: unknown, what: string): unknown {
  if (serverErrorNumber(error) === undefined || !(error instanceof HoldfastError)) return error;
  const message = `${what} of the backup could not be loaded: ${error.message}`;
  if (isHoldfastError(error, "SERVICE_PERMISSION_MISSING") && serverErrorNumber(error) === 1227) {
    return new HoldfastError("SERVICE_PERMISSION_MISSING", message, {
      facts: error.facts,
      remedy:
        "Its DEFINER is another user: grant the service's user SET USER (MariaDB) or SET_USER_ID (MySQL) ON *.*, or SUPER.",
    });
  }
  const code = error.code === "COMMAND_FAILED" ? "SERVICE_STAGE_FAILED" : error.code;
  return new HoldfastError(code, message, {
    facts: error.facts,
    ...(serverErrorNumber(error) === 1153
      ? { remedy: "Raise max_allowed_packet on the server." }
      : error.remedy === undefined
        ? {}
        : { remedy: error.remedy }),
  });
}

function refuseOtherProduct({ server, connection }: Staging, { description }: Restorable): void {
  const product = description.facts["product"];
  if (description.kind === "mariadb" && (product === undefined || product === server.product)) return;
  throw new HoldfastError(
    "SERVICE_UNSUPPORTED",
    `The backup is of ${typeof product === "string" ? product : description.kind}, and ${connectionPlace(connection)} is ${server.product}.`,
    { remedy: "Restore it to a server of the same kind." },
  );
}

async function refuseLongRows({ control, connection }: Staging, longestRowBytes: number): Promise<void> {
  const limit = Number(await control.value("SELECT @@max_allowed_packet"));
  const needed = longestRowBytes + 64 * 1024;
  if (needed <= limit) return;
  throw new HoldfastError(
    "SERVICE_STAGE_FAILED",
    `The backup has a row of ${longestRowBytes} bytes, more than max_allowed_packet (${limit}) of ${connectionPlace(connection)}.`,
    {
      facts: { longestRowBytes, maxAllowedPacket: limit },
      remedy: `As the server's administrator:  SET GLOBAL max_allowed_packet = ${Math.ceil(needed / 1048576) * 1048576};`,
    },
  );
}

/** A character set's or collation's name, which goes into statements unquoted. */
function settingName(value: unknown, otherwise: string): string {
  return typeof value === "string" && /^\w+$/.test(value) ? value : otherwise;
}

function unknownEntry(path: string): HoldfastError {
  return new HoldfastError("ENTRY_UNSAFE", `A MariaDB backup has no entry "${path}".`, { facts: { path } });
}
