import { HoldfastError } from "../../base/index.ts";
import type { SwapReport, TargetContext } from "../../component/index.ts";
import { isBusy, openDatabase, pragma } from "./sqlite-database.ts";
import {
  exchangeContent,
  exchangeFiles,
  liveState,
  removeDatabase,
  restoreJournalMode,
  sizeOf,
} from "./sqlite-exchange.ts";
import { describeOpeners, findOpeners, type Openers } from "./sqlite-openers.ts";
import { exchangePages, pagesOfFile } from "./sqlite-page-exchange.ts";
import { besidePaths, type SqlitePlan, type SwapMethod, writePlan } from "./sqlite-restore-plan.ts";

/** What saving and replacing content is sure to reach: 100 MB took 0.5 s in WAL mode and 1.3 s without where this says 2 s. */
const contentBytesPerMs = 100_000;
/** Of the second that a restore may interrupt the site, what a database may take without a warning. */
const slowMs = 700;
/** How long a rename waits for a lock before the content is exchanged instead. */
const aloneTimeoutMs = 100;

type Swapped = SwapReport["facts"];

/**
 * Puts the staged database in the live one's place, in the way that is best there:
 *
 * - Nobody has the database open (or it is missing, or no database any more): the files are renamed. Instant.
 * - Somebody has it open, or that cannot be told: the content of the live file is replaced, since a process that has the old one
 *   open would go on writing to it. With a rollback journal only pages that differ are written: takes as long as comparing, and
 *   time with what differs. In WAL mode, or if the page size changes, all is written through SQLite: takes time with the size.
 *   Past 700 ms with a warning that says how long and because of whom.
 * - There is no time for that, or a write-ahead log forbids it since the page size differs: if somebody is seen to have it open,
 *   the swap fails and names him; if that could not be told, the files are renamed, with a warning.
 *
 * Called again it does nothing. @throws HoldfastError SERVICE_SWAP_FAILED, TIMEOUT, and SQLite's errors
 */
export async function exchangeDatabase(context: TargetContext, plan: SqlitePlan, left: () => number): Promise<Swapped> {
  const paths = besidePaths(plan.path, context.operationId);
  // Before we ourselves open it. Another part of this process, such as a backup, counts as well.
  const openers = (await sizeOf(plan.path)) === undefined ? undefined : await findOpeners(plan.path);
  const state = await liveState(plan, left());
  const renamed: Swapped = { method: "rename", openFilesFollow: false };
  if (state === "restored") return plan.method === "rename" ? renamed : { method: plan.method ?? "content" };
  if (state !== "old" || openers === undefined) {
    await begin(context, plan, "rename");
    await exchangeFiles(plan, paths, state, left);
    return renamed;
  }
  const alone = openers.complete && openers.processes.length === 0;
  if (alone && (await renameAlone(context, plan, () => Math.min(left(), aloneTimeoutMs)))) return { method: "rename" };
  const startedAt = context.clock.monotonicMs();
  const changedBytes = await exchangeDifferingPages(context, plan, openers, left);
  if (changedBytes !== undefined) {
    const contentMs = Math.round(context.clock.monotonicMs() - startedAt);
    if (contentMs > slowMs) warnOfSlowness(context, plan, openers, contentMs);
    return { method: "pages", changedBytes, contentMs };
  }
  const obstacle = await whatForbidsContent(plan, paths.staged, left());
  if (obstacle === undefined) {
    await exchangeContent(plan, paths, left, () => begin(context, plan, "content"));
    const contentMs = Math.round(context.clock.monotonicMs() - startedAt);
    if (contentMs > slowMs) warnOfSlowness(context, plan, openers, contentMs);
    return { method: "content", contentMs };
  }
  if (openers.processes.length > 0) throw stillOpen(plan, openers, obstacle);
  if (!(await renameAlone(context, plan, left)))
    throw stillOpen(plan, await findOpeners(plan.path, process.pid), obstacle);
  context.warn({
    kind: "sqlite-renamed",
    message: `The SQLite database ${plan.path} was replaced as a file, because ${obstacle}, and not all processes could be seen: those that have it open must open it again.`,
    facts: { path: plan.path },
  });
  return renamed;
}

/** Bytes that differed, or undefined, with all as before, if the database cannot be done page by page. */
async function exchangeDifferingPages(
  context: TargetContext,
  plan: SqlitePlan,
  openers: Openers,
  left: () => number,
): Promise<number | undefined> {
  const paths = besidePaths(plan.path, context.operationId);
  const wanted = await pagesOfFile(paths.staged, plan.pageSize);
  if (wanted === undefined) return undefined;
  try {
    await begin(context, plan, "pages");
    await removeDatabase(paths.old);
    const mayWrite = (bytes: number): void => {
      if (bytes / contentBytesPerMs <= left()) return;
      throw stillOpen(
        plan,
        openers,
        `${Math.ceil(bytes / 1e6)} MB of it differ, too much for the ${Math.round(left())} ms left`,
      );
    };
    return await exchangePages({ plan, wanted, saved: paths.old, left, mayWrite });
  } finally {
    await wanted.close();
  }
}

async function begin(context: TargetContext, plan: SqlitePlan, method: SwapMethod): Promise<void> {
  plan.method = method;
  await writePlan(context.workDirectory, plan);
}

/** Renames, if no other connection is in the way; else all is as before, and the result is false. */
async function renameAlone(context: TargetContext, plan: SqlitePlan, left: () => number): Promise<boolean> {
  const end = context.clock.monotonicMs() + left();
  const remaining = (): number => end - context.clock.monotonicMs();
  plan.wal = journalModeOf(plan) === "wal";
  await begin(context, plan, "rename");
  const paths = besidePaths(plan.path, context.operationId);
  let done = false;
  try {
    done = await exchangeFiles(plan, paths, "old", remaining);
  } catch (error) {
    if (!isBusy(error)) throw error;
  }
  if (!done) await restoreJournalMode(plan, plan.path, () => Math.max(remaining(), aloneTimeoutMs));
  return done;
}

function journalModeOf(plan: SqlitePlan): string {
  const database = openDatabase(plan.path);
  try {
    return String(pragma(database, "journal_mode"));
  } finally {
    database.close();
  }
}

/** Why the live content cannot be saved and replaced in the time left; a database in WAL mode keeps its page size. */
async function whatForbidsContent(plan: SqlitePlan, staged: string, leftMs: number): Promise<string | undefined> {
  const bytes =
    ((await sizeOf(plan.path)) ?? 0) + ((await sizeOf(`${plan.path}-wal`)) ?? 0) + ((await sizeOf(staged)) ?? 0);
  if (bytes / contentBytesPerMs > leftMs) return `its content is too large for the ${Math.round(leftMs)} ms left`;
  const database = openDatabase(plan.path);
  try {
    const same = pragma(database, "journal_mode") !== "wal" || pragma(database, "page_size") === plan.pageSize;
    return same ? undefined : "its page size is another one than the backup's";
  } finally {
    database.close();
  }
}

function warnOfSlowness(context: TargetContext, plan: SqlitePlan, openers: Openers, contentMs: number): void {
  const why =
    openers.processes.length > 0
      ? `${describeOpeners(openers.processes)} had it open`
      : "it could not be told whether another process had it open";
  context.warn({
    kind: "sqlite-slow-swap",
    message: `Replacing the content of the SQLite database ${plan.path} took ${contentMs} ms while requests waited, because ${why}. With nobody it is instant.`,
    facts: { path: plan.path, contentMs },
  });
}

function stillOpen(plan: SqlitePlan, openers: Openers, obstacle: string): HoldfastError {
  const who = describeOpeners(openers.processes);
  return new HoldfastError(
    "SERVICE_SWAP_FAILED",
    `${who === "" ? "another process" : who} has it open, and ${obstacle}: renamed, it would go on writing to the old file`,
    {
      facts: { path: plan.path, openers: who },
      remedy: "Stop what has it open for the time of the restore; then it is replaced in an instant.",
    },
  );
}
