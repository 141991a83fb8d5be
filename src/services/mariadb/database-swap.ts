import { type Clock, HoldfastError, type OperationId } from "../../base/index.ts";
import { inCreationOrder } from "./database-stage.ts";
import { schemaExists } from "./mariadb-server.ts";
import type { MariadbSession } from "./mariadb-session.ts";
import { listTableNamesStatement } from "./mariadb-tables.ts";
import { readSequenceDefaults, sequenceDefaultStatements } from "./sequence-defaults.ts";
import { quoteName, quoteText } from "./sql-text.ts";
import { createStatements, dropStatement, readObjects, sameObject, type StoredObject } from "./stored-object.ts";
import type { StageRecord, SwapJournal, SwapRecord } from "./swap-journal.ts";

const markerTable = "holdfast_swap_marker";

/** The three schemas of a restore; all but the live one are named after the operation. */
export interface SchemaNames {
  readonly live: string;
  readonly staged: string;
  readonly old: string;
  /** Quoted, with its schema. */
  readonly stagedMarker: string;
  readonly oldMarker: string;
}

export function schemaNames(database: string, operationId: OperationId): SchemaNames {
  // A name has at most 64 characters; the operation's id makes it unique.
  const prefix = `${database.slice(0, 44)}_hf_${operationId}`;
  const staged = `${prefix}_new`;
  const old = `${prefix}_old`;
  return {
    live: database,
    staged,
    old,
    stagedMarker: `${quoteName(staged)}.${markerTable}`,
    oldMarker: `${quoteName(old)}.${markerTable}`,
  };
}

/** "staged": not swapped yet. "old": swapped. "nowhere": nothing is staged completely, or all is settled or reverted. */
export async function whereIsMarker(
  session: MariadbSession,
  names: SchemaNames,
): Promise<"staged" | "old" | "nowhere"> {
  return markerPlace((await session.query(markerStatement(names)))[0], names);
}

/** Each schema on its own: so the server looks at these two only, however many there are. */
function markerStatement({ staged, old }: SchemaNames): string {
  return [staged, old]
    .map(
      (schema) =>
        `SELECT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteText(schema)} AND TABLE_NAME = '${markerTable}'`,
    )
    .join(" UNION ALL ");
}

function markerPlace(row: readonly string[] | undefined, names: SchemaNames): "staged" | "old" | "nowhere" {
  return row === undefined ? "nowhere" : row[0] === names.old ? "old" : "staged";
}

interface SwapWork {
  readonly session: MariadbSession;
  readonly names: SchemaNames;
  readonly journal: SwapJournal;
  readonly stage: StageRecord;
  readonly clock: Clock;
}

/** What is live before or in the middle of a swap. */
interface LiveSchema {
  readonly marker: "staged" | "old" | "nowhere";
  /** Undefined if there is no such schema. */
  readonly characterSet: string | undefined;
  readonly collation: string | undefined;
  readonly tables: readonly string[];
  readonly objects: readonly StoredObject[];
}

/**
 * Swaps, or finishes a swap that was interrupted; does nothing more where all is done. Few round trips, because it runs inside
 * the hold: what is live is read in three, and all changes go out in one, in which the server stops at the first failure.
 */
export async function applySwap(work: SwapWork): Promise<Record<string, string | number>> {
  const { session, names, clock } = work;
  const live = await readLive(session, names);
  const { marker } = live;
  if (marker === "nowhere") throw new HoldfastError("SERVICE_SWAP_FAILED", `Nothing is staged for ${names.live}.`);
  const record = await swapRecord(work, live);
  const moving = new Set([...record.liveTables, ...record.stagedTables]);
  const kept = live.objects.filter(
    (object) =>
      isIn(record.objectsWanted, object) &&
      // Triggers follow no table into another schema: before the rename all of them are in the way.
      (marker === "old" || object.kind !== "trigger" || !moving.has(object.table ?? "")),
  );
  const dropped = live.objects.filter((object) => !kept.includes(object));
  const created = inCreationOrder(record.objectsWanted.filter((object) => !isIn(kept, object)));
  if (marker === "staged" && dropped.length > 0) await waitForTables(session, names.live, record.liveTables);
  const all = work.stage.sequenceDefaults;
  // Of an interrupted swap only what is not done yet.
  const defaults =
    marker === "old" && all.length > 0 ? await readSequenceDefaults(session, names.live, names.staged) : all;
  const startedAt = clock.monotonicMs();
  await session.queryAll([
    ...(record.existed
      ? []
      : [
          `CREATE DATABASE IF NOT EXISTS ${quoteName(names.live)} CHARACTER SET ${record.characterSetWanted} COLLATE ${record.collationWanted}`,
        ]),
    `USE ${quoteName(names.live)}`,
    ...setCharacterSet(names.live, record, "wanted"),
    ...dropped.map((object) => dropStatement(object, names.live)),
    ...(marker === "staged"
      ? [
          `CREATE DATABASE IF NOT EXISTS ${quoteName(names.old)}`,
          renameStatement([
            ...record.liveTables.map((table) => move(names.live, names.old, table)),
            ...record.stagedTables.map((table) => move(names.staged, names.live, table)),
            `${names.stagedMarker} TO ${names.oldMarker}`,
          ]),
        ]
      : []),
    ...sequenceDefaultStatements(defaults, names.staged, names.live),
    ...created.flatMap(createStatements),
  ]);
  const gapMs = clock.monotonicMs() - startedAt;
  const tables = record.stagedTables.length;
  return dropped.length + created.length === 0
    ? { method: "one atomic rename", tables }
    : {
        method: "one atomic rename, triggers and changed views, routines and events around it",
        tables,
        objects: dropped.length + created.length,
        gapMs: Math.round(gapMs * 10) / 10,
      };
}

async function readLive(session: MariadbSession, names: SchemaNames): Promise<LiveSchema> {
  const [schemas = [], markers = [], tables = []] = await session.queryAll([
    `SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${quoteText(names.live)}`,
    markerStatement(names),
    listTableNamesStatement(names.live),
  ]);
  const [characterSet, collation] = schemas[0] ?? [];
  return {
    marker: markerPlace(markers[0], names),
    characterSet,
    collation,
    tables: tables.map(([name]) => name ?? ""),
    objects: characterSet === undefined ? [] : await readObjects(session, names.live),
  };
}

/**
 * Waits until nobody uses the tables any more. Triggers are taken off one by one before the rename: were it only the rename that
 * waits, or gives up, the live tables would be without them meanwhile.
 */
async function waitForTables(session: MariadbSession, schema: string, tables: readonly string[]): Promise<void> {
  if (tables.length === 0) return;
  const locks = tables.map((table) => `${quoteName(schema)}.${quoteName(table)} WRITE`);
  await session.queryAll([`LOCK TABLES ${locks.join(", ")}`, "UNLOCK TABLES"]);
}

/**
 * From any state of a swap: the tables and objects of before it are live.
 * @throws HoldfastError RECOVERY_FAILED if live tables are in the old schema and nothing tells how they came there
 */
export async function undoSwap(session: MariadbSession, names: SchemaNames, record: SwapRecord): Promise<void> {
  const { live, old, staged } = names;
  if (!(await schemaExists(session, quoteText(live)))) return;
  await session.query(`USE ${quoteName(live)}`);
  if ((await whereIsMarker(session, names)) === "old") {
    const moving = new Set([...record.liveTables, ...record.stagedTables]);
    const objects = await readObjects(session, live);
    const inTheWay = objects.filter(
      (object) => !isIn(record.objectsBefore, object) || (object.kind === "trigger" && moving.has(object.table ?? "")),
    );
    // Stand-ins of sequences, if it died where there were some.
    const inStaged = new Set((await session.query(listTableNamesStatement(staged))).map(([name]) => name));
    const standIns = record.stagedTables.filter((table) => inStaged.has(table));
    await session.queryAll([
      ...standIns.map((table) => `DROP SEQUENCE ${quoteName(staged)}.${quoteName(table)}`),
      ...inTheWay.map((object) => dropStatement(object, live)),
      renameStatement([
        ...record.stagedTables.map((table) => move(live, staged, table)),
        ...record.liveTables.map((table) => move(old, live, table)),
        `${names.oldMarker} TO ${names.stagedMarker}`,
      ]),
    ]);
  }
  await reconcileObjects(session, live, record.objectsBefore);
  await session.queryAll(setCharacterSet(live, record, "before"));
  if (!record.existed && (await session.query(listTableNamesStatement(live))).length === 0) {
    await session.query(`DROP DATABASE ${quoteName(live)}`);
  }
}

/** What the swap means to do: as written before it was first begun, else worked out and written now. */
async function swapRecord({ journal, stage }: SwapWork, live: LiveSchema): Promise<SwapRecord> {
  const written = await journal.readSwap();
  if (written !== undefined) return written;
  const characterSet = live.characterSet ?? stage.characterSet;
  const collation = live.collation ?? stage.collation;
  const stagedTables = stage.tables.filter((table) => table !== markerTable);
  const staged = new Set(stagedTables);
  const record: SwapRecord = {
    existed: live.characterSet !== undefined,
    characterSet,
    collation,
    liveTables: stage.whole ? live.tables : live.tables.filter((table) => staged.has(table)),
    stagedTables,
    objectsBefore: live.objects,
    objectsWanted: stage.whole ? stage.objects : live.objects,
    characterSetWanted: stage.whole ? stage.characterSet : characterSet,
    collationWanted: stage.whole ? stage.collation : collation,
  };
  await journal.writeSwap(record);
  return record;
}

function setCharacterSet(live: string, record: SwapRecord, which: "wanted" | "before"): string[] {
  const same = record.characterSet === record.characterSetWanted && record.collation === record.collationWanted;
  if (same) return [];
  const [characterSet, collation] =
    which === "wanted" ? [record.characterSetWanted, record.collationWanted] : [record.characterSet, record.collation];
  return [`ALTER DATABASE ${quoteName(live)} CHARACTER SET ${characterSet} COLLATE ${collation}`];
}

async function reconcileObjects(
  session: MariadbSession,
  schema: string,
  wanted: readonly StoredObject[],
): Promise<void> {
  const now = await readObjects(session, schema);
  const drops = now.filter((object) => !isIn(wanted, object)).map((object) => dropStatement(object, schema));
  const missing = inCreationOrder(wanted.filter((object) => !isIn(now, object)));
  await session.queryAll([...drops, ...missing.flatMap(createStatements)]);
}

/**
 * Live tables in the old schema must never be dropped with it: called before it is, when a swap is undone.
 * @throws HoldfastError RECOVERY_FAILED
 */
export async function refuseStrandedTables(session: MariadbSession, names: SchemaNames): Promise<void> {
  const tables = (await session.query(listTableNamesStatement(names.old))).map(([name]) => name ?? "");
  const stranded = tables.find((name) => name !== markerTable);
  if (stranded === undefined) return;
  throw new HoldfastError("RECOVERY_FAILED", `Table ${stranded} of ${names.live} is still in schema ${names.old}.`, {
    facts: { table: stranded, schema: names.old },
    remedy: `Move the tables by hand (RENAME TABLE ${quoteName(names.old)}.x TO ${quoteName(names.live)}.x), then drop the schema.`,
  });
}

function isIn(objects: readonly StoredObject[], object: StoredObject): boolean {
  return objects.some((other) => sameObject(other, object));
}

function move(from: string, to: string, table: string): string {
  return `${quoteName(from)}.${quoteName(table)} TO ${quoteName(to)}.${quoteName(table)}`;
}

function renameStatement(moves: readonly string[]): string {
  return `RENAME TABLE ${moves.join(", ")}`;
}
