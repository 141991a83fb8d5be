import { HoldfastError } from "../../base/index.ts";
import type { MariadbSession } from "./mariadb-session.ts";
import { quoteName, quoteText } from "./sql-text.ts";

export const objectKinds = ["view", "function", "procedure", "package", "package body", "trigger", "event"] as const;
export type ObjectKind = (typeof objectKinds)[number];

/** A view, routine, trigger or event: its statement, and the settings under which it has to be created again. */
export interface StoredObject {
  readonly kind: ObjectKind;
  readonly name: string;
  /** Of a trigger. */
  readonly table?: string;
  readonly sqlMode?: string;
  /** Of an event. */
  readonly timeZone?: string;
  readonly characterSetClient: string;
  readonly collationConnection: string;
  readonly create: string;
}

/**
 * All of a schema's views (in an order in which they can be created), routines, triggers (in the order in which they fire) and
 * events. Makes the schema the session's current one, so that views name its tables without it.
 * @throws HoldfastError SERVICE_PERMISSION_MISSING if the text of a routine is hidden
 */
export async function readObjects(session: MariadbSession, schema: string): Promise<StoredObject[]> {
  const where = quoteText(schema);
  const [, views = [], routines = [], triggers = [], events = []] = await session.queryAll([
    `USE ${quoteName(schema)}`,
    `SELECT 'view', TABLE_NAME, '' FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${where} AND TABLE_TYPE = 'VIEW' ORDER BY BINARY TABLE_NAME`,
    `SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME, '' FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ${where} ORDER BY ROUTINE_TYPE, BINARY ROUTINE_NAME`,
    `SELECT 'trigger', TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ${where}
       ORDER BY BINARY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER, BINARY TRIGGER_NAME`,
    `SELECT 'event', EVENT_NAME, '' FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ${where} ORDER BY BINARY EVENT_NAME`,
  ]);
  const listed = [...views, ...routines, ...triggers, ...events].map(([kind, name, table]) => ({
    kind: kind as ObjectKind,
    name: name ?? "",
    table: table ?? "",
  }));
  const answers = await session.queryAll(
    listed.map(({ kind, name }) => `SHOW CREATE ${kind.toUpperCase()} ${quoteName(schema)}.${quoteName(name)}`),
  );
  const objects = listed.map((item, at) => {
    const object = storedObject(item, answers[at]?.[0] ?? []);
    return object.kind === "view" ? { ...object, create: withoutSchema(object.create, schema) } : object;
  });
  const viewObjects = objects.filter(({ kind }) => kind === "view");
  return [...orderViews(viewObjects), ...objects.filter(({ kind }) => kind !== "view")];
}

function storedObject(item: { kind: ObjectKind; name: string; table: string }, row: readonly string[]): StoredObject {
  const { kind, name, table } = item;
  const field = (at: number): string => row[at] ?? "";
  const [create, characterSetClient, collationConnection] =
    kind === "view"
      ? [field(1), field(2), field(3)]
      : kind === "event"
        ? [field(3), field(4), field(5)]
        : [field(2), field(3), field(4)];
  if (create === "NULL" || create === "") {
    throw new HoldfastError("SERVICE_PERMISSION_MISSING", `The text of the ${kind} ${name} is hidden from this user.`, {
      facts: { kind, name },
      remedy: "Grant it:  GRANT SELECT ON mysql.proc TO the user (MySQL: GRANT SHOW_ROUTINE ON *.*).",
    });
  }
  return {
    kind,
    name,
    ...(kind === "trigger" ? { table } : {}),
    ...(kind === "view" ? {} : { sqlMode: field(1) }),
    ...(kind === "event" ? { timeZone: field(2) } : {}),
    characterSetClient,
    collationConnection,
    create,
  };
}

/**
 * A view's text without its own schema before columns (`shop`.`orders`.`id`), which the server prints where the DEFINER is unknown
 * or has lost his rights, and before functions. Strings stay; so does `shop`.`id`, which can be a table and its column.
 */
function withoutSchema(create: string, schema: string): string {
  const quoted = quoteName(schema);
  return create.replaceAll(
    /'(?:[^'\\]|\\.)*'|(`(?:[^`]|``)*`)\.(?=`(?:[^`]|``)*`(?:\.`|\())/gs,
    (all: string, name: string | undefined) => (name === quoted ? "" : all),
  );
}

/** Each view after those that its text names; views that name each other in a circle stay in order of name. */
export function orderViews(views: readonly StoredObject[]): StoredObject[] {
  const waiting = new Map(views.map((view) => [view.name, view]));
  const ordered: StoredObject[] = [];
  const needs = new Map(
    views.map((view) => [
      view.name,
      views.filter(({ name }) => name !== view.name && view.create.includes(quoteName(name))).map(({ name }) => name),
    ]),
  );
  while (waiting.size > 0) {
    const free = [...waiting.values()].filter(({ name }) => !(needs.get(name) ?? []).some((need) => waiting.has(need)));
    for (const view of free.length > 0 ? free : [...waiting.values()].slice(0, 1)) {
      ordered.push(view);
      waiting.delete(view.name);
    }
  }
  return ordered;
}

/** "user@host" of the object's DEFINER clause. */
export function definerOf(object: StoredObject): string | undefined {
  const match = /\bDEFINER=`((?:[^`]|``)*)`@`((?:[^`]|``)*)`/.exec(object.create);
  return match === null ? undefined : `${match[1]}@${match[2]}`.replaceAll("``", "`");
}

export function sameObject(a: StoredObject, b: StoredObject): boolean {
  return (
    a.kind === b.kind &&
    a.name === b.name &&
    a.table === b.table &&
    a.create === b.create &&
    a.sqlMode === b.sqlMode &&
    a.timeZone === b.timeZone &&
    a.characterSetClient === b.characterSetClient &&
    a.collationConnection === b.collationConnection
  );
}

/** The settings that CREATE takes over into the object. */
function settings(object: StoredObject): string {
  // The statement arrives in UTF-8. Other client character sets agree with it on ASCII only.
  const ascii = /^[\0-\x7f]*$/.test(object.create);
  const keep = ascii || object.characterSetClient.startsWith("utf8");
  return [
    `character_set_client = ${keep ? object.characterSetClient : "utf8mb4"}`,
    `collation_connection = ${object.collationConnection}`,
    `sql_mode = ${quoteText(object.sqlMode ?? "")}`,
    `time_zone = ${quoteText(object.timeZone ?? "+00:00")}`,
  ].join(", ");
}

const afterwards = ["SET NAMES utf8mb4", "SET SESSION sql_mode = '', time_zone = '+00:00'"];

/** The statements that create the object in the session's current schema and leave the session as it was. */
export function createStatements(object: StoredObject): string[] {
  return [`SET SESSION ${settings(object)}`, object.create, ...afterwards];
}

export function dropStatement(object: Pick<StoredObject, "kind" | "name">, schema: string): string {
  return `DROP ${object.kind.toUpperCase()} IF EXISTS ${quoteName(schema)}.${quoteName(object.name)}`;
}

const header = "-- object ";

/** The objects as a script for the client program, from which `parseObjects` gets them back. */
export function formatObjects(objects: readonly StoredObject[]): string {
  const all = objects.map(({ create }) => create).join("\n");
  let delimiter = "$$";
  for (let n = 1; all.includes(delimiter); n += 1) delimiter = `$${n}$`;
  const parts = objects.map((object) => {
    const { create, ...rest } = object;
    const line = JSON.stringify({ ...rest, delimiter, length: create.length });
    return `${header}${line}\nSET SESSION ${settings(object)};\nDELIMITER ${delimiter}\n${create}\n${delimiter}\nDELIMITER ;\n`;
  });
  return `${parts.join("")}-- complete: ${objects.length}\n`;
}

/** @throws HoldfastError REPOSITORY_DAMAGED if the text is not what `formatObjects` wrote, whole */
export function parseObjects(text: string): StoredObject[] {
  const objects: StoredObject[] = [];
  let at = 0;
  while (text.startsWith(header, at)) {
    const lineEnd = text.indexOf("\n", at);
    const { delimiter, length, ...rest } = JSON.parse(text.slice(at + header.length, lineEnd)) as Omit<
      StoredObject,
      "create"
    > & { delimiter: string; length: number };
    const opening = `\nDELIMITER ${delimiter}\n`;
    const start = text.indexOf(opening, lineEnd) + opening.length;
    const closing = `\n${delimiter}\nDELIMITER ;\n`;
    if (start < opening.length || !text.startsWith(closing, start + length)) break;
    objects.push({ ...rest, create: text.slice(start, start + length) });
    at = start + length + closing.length;
  }
  if (text.slice(at) !== `-- complete: ${objects.length}\n`) {
    throw new HoldfastError("REPOSITORY_DAMAGED", "A script of views, routines, triggers or events is not complete.");
  }
  return objects;
}
