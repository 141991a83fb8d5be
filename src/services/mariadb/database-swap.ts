import { type Clock, HoldfastError, type OperationId } from "../../base/index.ts";
import { inCreationOrder } from "./database-stage.ts";
import { schemaExists } from "./mariadb-server.ts";
import type { MariadbSession } from "./mariadb-session.ts";
import { listTables } from "./mariadb-tables.ts";
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
  const schema = await session.value(
    `SELECT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_NAME = '${markerTable}'
     AND TABLE_SCHEMA IN (${quoteText(names.staged)}, ${quoteText(names.old)})`,
  );
  return schema === undefined ? "nowhere" : schema === names.old ? "old" : "staged";
}

interface SwapWork {
  readonly session: MariadbSession;
  readonly names: SchemaNames;
  readonly journal: SwapJournal;
  readonly stage: StageRecord;
  readonly clock: Clock;
}

/** Swaps, or finishes a swap that was interrupted; does nothing more where all is done. */
export async function applySwap(work: SwapWork): Promise<Record<string, string | number>> {
  const { session, names, clock } = work;
  const marker = await whereIsMarker(session, names);
  if (marker === "nowhere") throw new HoldfastError("SERVICE_SWAP_FAILED", `Nothing is staged for ${names.live}.`);
  const record = await swapRecord(work);
  if (!record.existed) {
    await session.query(
      `CREATE DATABASE IF NOT EXISTS ${quoteName(names.live)} CHARACTER SET ${record.characterSetWanted} COLLATE ${record.collationWanted}`,
    );
  }
  await session.queryAll([`USE ${quoteName(names.live)}`, ...setCharacterSet(names.live, record, "wanted")]);
  const objectsNow = await readObjects(session, names.live);
  const moving = new Set([...record.liveTables, ...record.stagedTables]);
  const kept = objectsNow.filter(
    (object) =>
      isIn(record.objectsWanted, object) &&
      // Triggers follow no table into another schema: before the rename all of them are in the way.
      (marker === "old" || object.kind !== "trigger" || !moving.has(object.table ?? "")),
  );
  const dropped = objectsNow.filter((object) => !kept.includes(object));
  const created = inCreationOrder(record.objectsWanted.filter((object) => !isIn(kept, object)));
  const startedAt = clock.monotonicMs();
  await session.queryAll(dropped.map((object) => dropStatement(object, names.live)));
  if (marker === "staged") {
    await session.queryAll([
      `CREATE DATABASE IF NOT EXISTS ${quoteName(names.old)}`,
      renameStatement([
        ...record.liveTables.map((table) => move(names.live, names.old, table)),
        ...record.stagedTables.map((table) => move(names.staged, names.live, table)),
        `${names.stagedMarker} TO ${names.oldMarker}`,
      ]),
    ]);
  }
  await session.queryAll(created.flatMap(createStatements));
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

/** From any state of a swap: the tables and objects of before it are live. */
export async function undoSwap(session: MariadbSession, names: SchemaNames, record: SwapRecord): Promise<void> {
  const { live, old, staged } = names;
  if (await schemaExists(session, quoteText(live))) {
    await session.query(`USE ${quoteName(live)}`);
    if ((await whereIsMarker(session, names)) === "old") {
      const moving = new Set([...record.liveTables, ...record.stagedTables]);
      const objects = await readObjects(session, live);
      const inTheWay = objects.filter(
        (object) =>
          !isIn(record.objectsBefore, object) || (object.kind === "trigger" && moving.has(object.table ?? "")),
      );
      await session.queryAll(inTheWay.map((object) => dropStatement(object, live)));
      await session.query(
        renameStatement([
          ...record.stagedTables.map((table) => move(live, staged, table)),
          ...record.liveTables.map((table) => move(old, live, table)),
          `${names.oldMarker} TO ${names.stagedMarker}`,
        ]),
      );
    }
    await reconcileObjects(session, live, record.objectsBefore);
    await session.queryAll(setCharacterSet(live, record, "before"));
    await refuseStrandedTables(session, names);
    if (!record.existed && (await listTables(session, live)).length === 0) {
      await session.query(`DROP DATABASE ${quoteName(live)}`);
    }
  }
}

/** What the swap means to do: as written before it was first begun, else worked out and written now. */
async function swapRecord({ session, names, journal, stage }: SwapWork): Promise<SwapRecord> {
  const written = await journal.readSwap();
  if (written !== undefined) return written;
  const [row] = await session.query(
    `SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${quoteText(names.live)}`,
  );
  const existed = row !== undefined;
  const characterSet = row?.[0] ?? stage.characterSet;
  const collation = row?.[1] ?? stage.collation;
  if (existed) await session.query(`USE ${quoteName(names.live)}`);
  const objectsBefore = existed ? await readObjects(session, names.live) : [];
  const liveTables = existed ? (await listTables(session, names.live)).map(({ name }) => name) : [];
  const stagedTables = stage.tables.filter((table) => table !== markerTable);
  const staged = new Set(stagedTables);
  const record: SwapRecord = {
    existed,
    characterSet,
    collation,
    liveTables: stage.whole ? liveTables : liveTables.filter((table) => staged.has(table)),
    stagedTables,
    objectsBefore,
    objectsWanted: stage.whole ? stage.objects : objectsBefore,
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

/** Live tables in the old schema must never be dropped with it. */
async function refuseStrandedTables(session: MariadbSession, names: SchemaNames): Promise<void> {
  const [stranded] = await listTables(session, names.old);
  if (stranded === undefined) return;
  throw new HoldfastError(
    "RECOVERY_FAILED",
    `Table ${stranded.name} of ${names.live} is still in schema ${names.old}, without the mark of a swap.`,
    {
      remedy: `Move the tables by hand (RENAME TABLE ${quoteName(names.old)}.x TO ${quoteName(names.live)}.x), then drop the schema.`,
    },
  );
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
