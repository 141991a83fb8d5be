import { lstatSync, renameSync, rmSync, statfsSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { HoldfastError, messageOf, type SourceId, systemErrorCode } from "../base/index.ts";
import type { Restorable, StageReport, StoredEntry, SwapReport, Target, TargetContext } from "../component/index.ts";
import { readDurable, syncDirectory, writeDurably } from "./durable-file.ts";
import { findKeepers, parentsOf } from "./keepers.ts";
import { leftOutOf } from "./left-out.ts";
import { refuseLinksInTheWay } from "./links-in-the-way.ts";
import { pathExists } from "./path-exists.ts";
import { PathFilter, type PathFilterOptions } from "./path-filter.ts";
import { sharesBlocks } from "./posix/mount-points.ts";
import { removeTree } from "./remove-tree.ts";
import { renewTouched, SharedFilesWriter } from "./shared-files.ts";
import { mountsBelow, type StagingPlace, stagingPlace } from "./staging-place.ts";
import { inodeAt, SwapExecution } from "./swap-execution.ts";
import { planSwap, type SwapPlan } from "./swap-plan.ts";
import { targetFull } from "./write-metadata.ts";
import { writeTree } from "./write-tree.ts";

export interface TreeTargetOptions extends PathFilterOptions {
  readonly id: SourceId;
  /** Absolute path of the folder, or of the file or folder in it to restore alone; made if missing. */
  readonly root: string;
  /** The whole component's folder, if `root` is a part of it: below it no link is followed. */
  readonly base?: string;
  /**
   * Of `apart`: what another target may put in its place at the same time. The directories that it is in stay, also where it is
   * not there yet: exchanged, they would take it with them. Default: all of `apart`.
   */
  readonly restoredBeside?: readonly string[];
  /** For tests: stage in the root itself, as where it is a mount point. */
  readonly forceInside?: boolean;
  /** For tests: stands for renameat2(2) with RENAME_EXCHANGE. */
  readonly exchange?: (one: Buffer, other: Buffer) => void;
}

/** What `stage` leaves for later calls, also of other processes. */
interface Staging {
  readonly place: StagingPlace;
  readonly keepers: readonly string[];
  /** By the backup. */
  readonly leftOut?: PathFilterOptions;
}

const noRoomLeftBytes = 16 * 1024 * 1024;

/**
 * A tree of files as a target. The new tree is staged beside the live one (in it, if it cannot be renamed) and the two
 * are exchanged: in one step where nothing in the live tree stays, else in one step for each child.
 *
 * What backups leave out stays as it is: paths `apart` and files that match `exclude`, by the configuration or by that of
 * the backup's time, in the directories in which they are; a live file that is excluded wins over a restored one of the same name. Excluded files in a directory that had
 * none when the restore was staged go with the old tree.
 */
export class TreeTarget implements Target {
  readonly id: SourceId;
  readonly #options: TreeTargetOptions;

  constructor(options: TreeTargetOptions) {
    this.id = options.id;
    this.#options = options;
  }

  async stage(context: TargetContext, backup: Restorable): Promise<StageReport> {
    // Staged before, perhaps by a process that died.
    await this.#discard(context);
    rmSync(planFile(context), { force: true });
    rmSync(undoneFile(context), { force: true });
    rmSync(sharedFile(context), { force: true });
    const { base, root } = this.#options;
    let place: StagingPlace;
    try {
      if (base !== undefined) refuseLinksInTheWay(this.id, base, root);
      place = stagingPlace(
        this.#options.root,
        context.operationId,
        this.#options.forceInside === undefined ? {} : { forceInside: this.#options.forceInside },
      );
    } catch (error) {
      throw this.#failed("SERVICE_STAGE_FAILED", "prepared for staging", error);
    }
    const leftOut = leftOutOf(backup.description.facts, base === undefined ? "" : relative(base, root));
    const filter = new PathFilter(this.#options, leftOut);
    this.#refuseMounts(place, filter);
    checkRoom(place, backup);
    const live = lstatSync(place.root, { throwIfNoEntry: false });
    const keepers = parentsOf(this.#options.restoredBeside ?? this.#options.apart ?? []);
    if (live?.isDirectory() === true) {
      for (const path of await findKeepers(Buffer.from(place.root), filter)) keepers.add(path);
    }
    writeDurably(stagingFile(context), { place, keepers: [...keepers], leftOut } satisfies Staging);
    const shared = new SharedFilesWriter(sharedFile(context));
    try {
      return await writeTree(Buffer.from(place.staged), withoutApart(backup.entries, filter), context.contents, {
        signal: context.signal,
        warn: (warning) => context.warn(warning),
        progress: (delta) => context.progress(delta),
        candidates: Buffer.from(place.root),
        shared,
      });
    } catch (error) {
      await this.#discard(context);
      throw error;
    } finally {
      shared.close();
    }
  }

  /** What is mounted in the tree cannot be exchanged with it, and would be emptied with the old tree. */
  #refuseMounts(place: StagingPlace, filter: PathFilter): void {
    const path = mountsBelow(place.root).find((path) => !filter.excludesWithin(Buffer.from(path, "latin1")));
    if (path === undefined) return;
    throw new HoldfastError(
      "SERVICE_STAGE_FAILED",
      `${place.root} cannot be restored in place: another file system is mounted in it at ${path}.`,
      {
        facts: { source: this.id, path },
        remedy: "Make that folder a mount of its own in the configuration, exclude it, or restore with --into.",
      },
    );
  }

  async swap(context: TargetContext, deadlineMs: number): Promise<SwapReport> {
    const started = context.clock.monotonicMs();
    const staging = readStaging(context);
    if (staging === undefined) throw new TypeError("swap before stage");
    const { place } = staging;
    const checkDeadline = (): void => {
      if (context.clock.monotonicMs() - started > deadlineMs) throw this.#tooLate(deadlineMs);
    };
    try {
      let plan = readPlan(context);
      let renewed = 0;
      if (plan === undefined) {
        renewed = await renewTouched({
          list: sharedFile(context),
          live: Buffer.from(place.root),
          staged: Buffer.from(place.staged),
          contents: context.contents,
          checkDeadline,
        });
        plan = planSwap(place, {
          filter: new PathFilter(this.#options, staging.leftOut ?? {}),
          keepers: new Set(staging.keepers),
          warn: (warning) => context.warn(warning),
        });
        writeDurably(planFile(context), plan);
      }
      const execution = new SwapExecution(place, plan, this.#options.exchange);
      if (!isOver(place, plan)) {
        execution.forward(checkDeadline);
      }
      syncDirectory(Buffer.from(place.inside ? place.root : dirname(place.root)));
      return {
        durationMs: context.clock.monotonicMs() - started,
        facts:
          execution.gapMs > 0
            ? { method: "rename twice", gapMs: execution.gapMs, steps: plan.steps.length, renewed }
            : { method: "rename exchange", steps: plan.steps.length, renewed },
      };
    } catch (error) {
      throw this.#failed("SERVICE_SWAP_FAILED", "exchanged with the staged data", error);
    }
  }

  async swapBack(context: TargetContext): Promise<void> {
    const staging = readStaging(context);
    if (staging === undefined) return;
    const plan = readPlan(context);
    // Marked, because the inode numbers by which a plan knows its parts are given out anew once they are removed.
    if (plan !== undefined && readDurable(undoneFile(context)) === undefined) {
      this.#undo(staging.place, plan);
      writeDurably(undoneFile(context), { undone: true });
    }
  }

  async revert(context: TargetContext): Promise<void> {
    await this.swapBack(context);
    await this.#discard(context);
  }

  #undo(place: StagingPlace, plan: SwapPlan): void {
    const [only] = plan.steps;
    if (only?.kind === "in" && only.path === "") {
      // There was no live tree: what is there now came from us, unless somebody has replaced it.
      if (inodeAt(Buffer.from(place.root)) === only.staged) renameSync(place.root, place.discarded);
      return;
    }
    // Gone from its place, what was staged is being removed: everything was undone before.
    if (!pathExists(place.staged) && !pathExists(place.aside)) return;
    new SwapExecution(place, plan, this.#options.exchange).backward();
  }

  async settle(context: TargetContext): Promise<void> {
    const staging = readStaging(context);
    if (staging === undefined) return;
    const plan = readPlan(context);
    if (plan === undefined) throw new TypeError("settle before swap");
    const { place } = staging;
    if (!isOver(place, plan)) new SwapExecution(place, plan, this.#options.exchange).forward();
    await this.#discard(context);
  }

  /** Removes what stands at the staged tree's place: new data after a revert, old data after a swap. */
  async #discard(context: TargetContext): Promise<void> {
    const staging = readStaging(context);
    if (staging === undefined) return;
    const { staged, discarded } = staging.place;
    // What was being removed when a process died has to go first.
    await removeTree(Buffer.from(discarded));
    if (pathExists(staged)) renameSync(staged, discarded);
    await removeTree(Buffer.from(discarded));
  }

  #tooLate(deadlineMs: number): HoldfastError {
    return new HoldfastError("SERVICE_SWAP_FAILED", `${this.id} was not exchanged within ${deadlineMs} ms.`, {
      facts: { source: this.id, deadlineMs },
      remedy: "Raise gateway.holdTimeout; everything is exchanged back.",
    });
  }

  #failed(code: "SERVICE_STAGE_FAILED" | "SERVICE_SWAP_FAILED", what: string, error: unknown): unknown {
    if (systemErrorCode(error) === undefined) return error;
    return new HoldfastError(code, `${this.#options.root} could not be ${what}: ${messageOf(error)}`, {
      facts: { source: this.id, path: this.#options.root, error: systemErrorCode(error) ?? "" },
      remedy: "Run Holdfast as a user who may write to the folder and to the one that it is in.",
      cause: error,
    });
  }
}

/** Whether the exchange is complete and even what was staged is being removed, or is gone. */
const isOver = (place: StagingPlace, plan: SwapPlan): boolean =>
  !pathExists(place.staged) && !pathExists(place.aside) && !(plan.steps[0]?.kind === "in" && plan.steps[0].path === "");

function checkRoom(place: StagingPlace, backup: Restorable): void {
  const { bytes } = backup.description.counts;
  const { diskBytes } = backup.description.facts;
  const neededBytes = typeof diskBytes === "number" ? diskBytes : bytes;
  const folder = dirname(place.staged);
  const { bavail, bsize, type } = statfsSync(folder);
  // Where copies share blocks with the live data, the new tree may take no room at all.
  if (neededBytes === undefined || sharesBlocks(type)) return;
  if (bavail * bsize < neededBytes + noRoomLeftBytes) throw targetFull(Buffer.from(folder), neededBytes);
}

/** What belongs to somebody else is not to be had from a backup either, such as a .git that an attacker put there. */
async function* withoutApart(entries: AsyncIterable<StoredEntry>, filter: PathFilter): AsyncIterable<StoredEntry> {
  for await (const entry of entries) if (!filter.isApart(entry.path)) yield entry;
}

const stagingFile = (context: TargetContext): string => join(context.workDirectory, "staging.json");
const planFile = (context: TargetContext): string => join(context.workDirectory, "swap-plan.json");
const sharedFile = (context: TargetContext): string => join(context.workDirectory, "shared-files");
const undoneFile = (context: TargetContext): string => join(context.workDirectory, "swap-undone.json");
const readStaging = (context: TargetContext): Staging | undefined =>
  readDurable(stagingFile(context)) as Staging | undefined;
const readPlan = (context: TargetContext): SwapPlan | undefined =>
  readDurable(planFile(context)) as SwapPlan | undefined;
