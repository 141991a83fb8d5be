import { chmod, chown, realpath, rename, stat, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  HoldfastError,
  isHoldfastError,
  makeDirectories,
  messageOf,
  type SourceId,
  throwIfAborted,
} from "../../base/index.ts";
import type { Restorable, StageReport, StoredEntry, SwapReport, Target, TargetContext } from "../../component/index.ts";
import type { SqliteConfig } from "./sqlite-config.ts";
import { databaseError, noRoom, openDatabase, resolveDatabase, untilFree } from "./sqlite-database.ts";
import {
  exchangeFilesBack,
  liveState,
  putContent,
  removeDatabase,
  restoreJournalMode,
  sizeOf,
} from "./sqlite-exchange.ts";
import { inspectDatabase } from "./sqlite-inspection.ts";
import { findOpeners } from "./sqlite-openers.ts";
import { exchangePagesBack } from "./sqlite-pages-back.ts";
import { exchangeDatabase } from "./sqlite-swap.ts";
import {
  besidePaths,
  markOf,
  readPlan,
  sidecars,
  type SqlitePlan,
  syncPath,
  writePlan,
} from "./sqlite-restore-plan.ts";

const undoTimeoutMs = 60_000;

/**
 * Restores a database. The new one is staged beside it; `swap` puts the new file in its place if nobody has it open, and its
 * content into the live file through SQLite if somebody has, so that open connections go on with the new data: see
 * `exchangeDatabase`.
 *
 * Until `settle` the restored database carries a mark in `application_id`, by which a later process knows on which side
 * of the exchange it is; nothing else of it differs from the backup.
 */
export class SqliteTarget implements Target {
  readonly id: SourceId;
  readonly #config: SqliteConfig;

  constructor(id: SourceId, config: SqliteConfig) {
    this.id = id;
    this.#config = config;
  }

  async stage(context: TargetContext, backup: Restorable): Promise<StageReport> {
    await this.revert(context);
    const live = await this.#locate();
    const plan: SqlitePlan = {
      ...live,
      mark: markOf(context.operationId),
      applicationId: 0,
      pageSize: 0,
      complete: false,
    };
    await writePlan(context.workDirectory, plan);
    const { staged } = besidePaths(plan.path, context.operationId);
    let bytes: number | undefined;
    for await (const entry of backup.entries) {
      throwIfAborted(context.signal);
      const name = entry.path.toString("latin1");
      if (name === "") continue;
      if (name !== "database.sqlite" || entry.content === undefined) {
        throw new HoldfastError(
          "ENTRY_UNSAFE",
          `The backup of ${this.id} holds ${JSON.stringify(name)}, which does not belong there.`,
        );
      }
      bytes = entry.content.sizeBytes;
      context.progress({ expectedBytes: bytes });
      await this.#write(context, plan, entry, staged);
      context.progress({ bytes });
    }
    throwIfAborted(context.signal);
    if (bytes === undefined) throw this.#stageFailed("the backup holds no database.sqlite");
    await this.#check(context, plan, staged);
    await takeOwner(plan, staged, backup);
    markStaged(plan, staged);
    await syncPath(staged);
    plan.complete = true;
    await writePlan(context.workDirectory, plan);
    return { files: 1, bytes, reusedBytes: 0 };
  }

  async swap(context: TargetContext, deadlineMs: number): Promise<SwapReport> {
    const startedAt = context.clock.monotonicMs();
    const left = (): number => deadlineMs - (context.clock.monotonicMs() - startedAt);
    const plan = await readPlan(context.workDirectory);
    if (plan?.complete !== true) throw this.#swapFailed("nothing is staged");
    let facts: SwapReport["facts"];
    try {
      facts = await exchangeDatabase(context, plan, left);
    } catch (error) {
      const cause = isHoldfastError(error) ? error : databaseError(plan.path, error);
      throw this.#swapFailed(cause.message, cause, cause.remedy);
    }
    return { durationMs: context.clock.monotonicMs() - startedAt, facts };
  }

  /** All of it: what is left to drop then is a few files, each unlinked whole. */
  async swapBack(context: TargetContext): Promise<void> {
    await this.revert(context);
  }

  async revert(context: TargetContext): Promise<void> {
    const plan = await readPlan(context.workDirectory);
    if (plan === undefined) return;
    const { staged, old } = besidePaths(plan.path, context.operationId);
    const left = leftOf(undoTimeoutMs);
    try {
      const state = await liveState(plan, left());
      if (state === "restored") {
        if (plan.method === "pages") await exchangePagesBack(plan, { staged, old }, left);
        else if (plan.method === "rename" && !(await isInUse(plan))) await exchangeFilesBack(plan, old, left);
        else await putContent(old, plan.path, left);
      } else if ((await sizeOf(plan.path)) === undefined && (await sizeOf(old)) !== undefined) {
        throw new HoldfastError(
          "RECOVERY_FAILED",
          `The SQLite database ${plan.path} is gone; the old one is kept as ${old}.`,
          {
            facts: { path: plan.path, old },
            remedy: "See who removed it, and rename the old one to its place.",
          },
        );
      }
      await restoreSidecars(plan, old);
      if (state === "old" || (await sizeOf(old)) !== undefined) await restoreJournalMode(plan, plan.path, left);
      await removeDatabase(staged);
      await removeDatabase(old);
    } catch (error) {
      throw databaseError(plan.path, error);
    }
  }

  async settle(context: TargetContext): Promise<void> {
    const plan = await readPlan(context.workDirectory);
    if (plan === undefined) return;
    const { staged, old } = besidePaths(plan.path, context.operationId);
    try {
      if ((await liveState(plan, undoTimeoutMs)) === "restored") {
        const database = openDatabase(plan.path);
        try {
          await untilFree(undoTimeoutMs, () => database.exec(`PRAGMA application_id = ${plan.applicationId}`));
        } finally {
          database.close();
        }
      }
      await removeDatabase(staged);
      await removeDatabase(old);
    } catch (error) {
      throw databaseError(plan.path, error);
    }
  }

  /** The live file, or where it would be if it is missing. */
  async #locate(): Promise<{ path: string; existed: boolean }> {
    try {
      return { path: await resolveDatabase(this.#config.path), existed: true };
    } catch (error) {
      if (!isHoldfastError(error, "SERVICE_DATABASE_MISSING")) throw error;
      // A folder that was lost comes back, with those above it.
      await makeDirectories(dirname(this.#config.path), 0o777);
      const folder = await realpath(dirname(this.#config.path));
      return { path: join(folder, basename(this.#config.path)), existed: false };
    }
  }

  async #write(context: TargetContext, plan: SqlitePlan, entry: StoredEntry, staged: string): Promise<void> {
    if (entry.content === undefined) return;
    const live = (await sizeOf(plan.path)) ?? 0;
    const { bavail, bsize } = await statfs(dirname(plan.path));
    // The new file, the copy of the old one, and in WAL mode the new content once more in the log.
    if (bavail * bsize < entry.content.sizeBytes * 2 + live) throw noRoom(plan.path);
    const file = { path: Buffer.from(staged), content: entry.content };
    const [result] = await context.contents.writeFiles([file], context.signal);
    if (result?.status !== "written") throw this.#stageFailed(result?.message ?? "nothing was written");
  }

  async #check(context: TargetContext, plan: SqlitePlan, staged: string): Promise<void> {
    const inspection = await inspectDatabase(staged, context.signal).catch((error: unknown) => {
      throwIfAborted(context.signal);
      throw this.#stageFailed(messageOf(error), error);
    });
    plan.applicationId = inspection.applicationId;
    plan.pageSize = inspection.pageSize;
    if (inspection.check === "ok") return;
    context.warn({
      kind: "sqlite-damaged",
      message: `The database in the backup was damaged when it was taken: ${inspection.check}`,
      facts: { path: plan.path },
    });
  }

  #stageFailed(why: string, cause?: unknown): HoldfastError {
    return new HoldfastError(
      "SERVICE_STAGE_FAILED",
      `The database of ${this.id} could not be staged: ${why}. Nothing was changed.`,
      { cause },
    );
  }

  #swapFailed(why: string, cause?: unknown, remedy?: string): HoldfastError {
    return new HoldfastError(
      "SERVICE_SWAP_FAILED",
      `The SQLite database ${this.#config.path} could not be exchanged: ${why}`,
      {
        remedy: remedy ?? "The old database is kept. Restore again.",
        cause,
      },
    );
  }
}

/** Gives the staged file the owner and mode of the live one, or if there is none, of the one that was backed up. */
async function takeOwner(plan: SqlitePlan, staged: string, { description }: Restorable): Promise<void> {
  const { facts } = description;
  const number = (name: string, otherwise: number): number => {
    const value = facts[name];
    return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : otherwise;
  };
  const mine = await stat(staged);
  const wanted = plan.existed
    ? await stat(plan.path)
    : { mode: number("mode", 0o600), uid: number("uid", mine.uid), gid: number("gid", mine.gid) };
  if (wanted.uid !== mine.uid || wanted.gid !== mine.gid) await chown(staged, wanted.uid, wanted.gid);
  await chmod(staged, wanted.mode & 0o777);
}

function markStaged(plan: SqlitePlan, staged: string): void {
  const database = openDatabase(staged);
  try {
    database.exec(`PRAGMA application_id = ${plan.mark}`);
  } finally {
    database.close();
  }
}

/** After a death between moving the old journals aside and the exchange of the files. */
async function restoreSidecars(plan: SqlitePlan, old: string): Promise<void> {
  if (plan.method !== "rename") return;
  for (const suffix of sidecars) {
    const free = (await sizeOf(plan.path + suffix)) === undefined;
    if (free && (await sizeOf(old + suffix)) !== undefined) await rename(old + suffix, plan.path + suffix);
  }
}

/** Whether somebody went on with the new file: then the old content has to come to it. An old file that was no database cannot. */
async function isInUse(plan: SqlitePlan): Promise<boolean> {
  return plan.wal !== undefined && (await findOpeners(plan.path)).processes.length > 0;
}

function leftOf(timeoutMs: number): () => number {
  const end = performance.now() + timeoutMs;
  return () => end - performance.now();
}
