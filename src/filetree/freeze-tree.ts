import { formatDuration, HoldfastError, type SourceId } from "../base/index.ts";
import type { FreezePoint } from "../component/index.ts";
import { FrozenCopies } from "./frozen-copies.ts";
import { KnownRecords } from "./known-records.ts";
import { mappedFiles } from "./posix/mapped-files.ts";
import { scanTree } from "./scan.ts";
import { sameStamp, stampOf, type TreeRecord } from "./tree-record.ts";
import type { TreeState } from "./tree-state.ts";

export interface FreezeTreeOptions {
  readonly deadlineMs: number;
  /** On the context's clock. */
  readonly startedMs: number;
  readonly id: SourceId;
  readonly copiesDirectory: string;
}

export interface FrozenTree {
  readonly at: Date;
  readonly copies: FrozenCopies;
  readonly facts: FreezePoint["facts"];
}

/** Give up a little before the deadline: others wait for the hold to end. */
const deadlineShare = 0.9;
/** Files above this are looked up in the listing before they are copied: the change may have been to their mode only. */
const lookUpBytes = 262_144;
const maxPasses = 3;

/** Fixes the tree's point in time: what `state` knows plus copies of what changed since. Ends the watch. */
export async function freezeTree(state: TreeState, options: FreezeTreeOptions): Promise<FrozenTree> {
  const { context } = state;
  const elapsedMs = (): number => context.clock.monotonicMs() - options.startedMs;
  const copies: FrozenCopies = new FrozenCopies({
    root: state.directory,
    owners: state.owners,
    directory: options.copiesDirectory,
    checkDeadline: () => {
      if (elapsedMs() > options.deadlineMs * deadlineShare) throw tooLate(options, copies);
    },
    onChanging: (record) => {
      context.warn({
        kind: "file-changing",
        message: `${record.path.toString()} went on changing inside the hold; the backup may hold a mix of its states.`,
        facts: { path: record.path.toString() },
      });
    },
  });
  try {
    state.watch.drain();
    if (state.watch.rootGone) {
      throw new HoldfastError(
        "FREEZE_FAILED",
        `The folder ${state.root.toString()} of ${options.id} was moved away or removed.`,
        {
          facts: { source: options.id, path: state.root.toString() },
          remedy: "Put the folder back and back up again.",
        },
      );
    }
    const method = state.isWatched ? "watch" : "scan";
    const looks = state.isWatched
      ? await copyChanged(state, copies)
      : await compareAll(state, copies, options, elapsedMs);
    return {
      at: context.clock.now(),
      copies,
      facts: {
        method,
        filesChanged: copies.files,
        bytesCopied: copies.bytes,
        entriesExamined: looks,
        rounds: state.rounds,
      },
    };
  } finally {
    copies.close();
    state.watch.close();
  }
}

/** Copies what the watch says has changed. Returns how many entries were looked at. */
async function copyChanged(state: TreeState, copies: FrozenCopies): Promise<number> {
  const { examiner, overlay, watch, context } = state;
  const before = examiner.looks;
  for (const path of state.linked.changed(state.directory)) watch.markDirty(path);
  const mapped = mappedFiles(state.root);
  for (const path of mapped) watch.markDirty(path);
  for (let pass = 1; pass <= maxPasses; pass += 1) {
    const dirty = watch.takeDirty();
    if (dirty.size === 0) break;
    for await (const record of examiner.examine(dirty, context.signal, mapped)) {
      const known = mapped.has(record.path.toString("latin1")) ? undefined : await unchanged(state, record);
      if (known !== undefined) {
        overlay.set({ ...known, ...record });
        continue;
      }
      const copied = await copies.copy(record);
      if (copied === undefined) overlay.remove(record.path);
      else overlay.set(copied);
    }
    // Whatever writes without HTTP may have gone on: the closer to one moment, the better.
    watch.drain();
    if (watch.loss !== undefined) break;
  }
  return examiner.looks - before + state.linked.count;
}

/** What the listing holds of a large file whose stamp is the same as then. */
async function unchanged(state: TreeState, record: TreeRecord): Promise<TreeRecord | undefined> {
  if (record.sizeBytes < lookUpBytes) return undefined;
  if (state.overlay.hides(record.path)) return undefined;
  const known = await state.find(record.path);
  if (known?.content === undefined || known.racy === true) return undefined;
  return sameStamp(known, stampOf(record)) ? known : undefined;
}

/** Compares the whole tree with what is known of it. Returns how many entries were looked at. */
async function compareAll(
  state: TreeState,
  copies: FrozenCopies,
  options: FreezeTreeOptions,
  elapsedMs: () => number,
): Promise<number> {
  const { context } = state;
  const mapped = mappedFiles(state.root);
  const known = new KnownRecords(state.records("expanded"));
  const writer = state.newListing();
  let looks = 0;
  try {
    for await (const entry of scanTree(state.directory, state.scanOptions(context.signal))) {
      looks += 1;
      if (elapsedMs() > options.deadlineMs * deadlineShare) throw tooLate(options, copies);
      if (entry.metadata.type !== "file") {
        writer.add(entry);
        continue;
      }
      const record = mapped.has(entry.path.toString("latin1")) ? undefined : await known.find(entry);
      const current = record ?? (await copies.copy(entry));
      if (current !== undefined) writer.add(current);
    }
  } catch (error) {
    writer.abandon();
    throw error;
  } finally {
    await known.close();
  }
  state.replaceListing(writer.finish());
  const why = state.watch.loss;
  context.warn({
    kind: why?.kind ?? "watch-off",
    message: `The whole folder ${state.root.toString()} had to be compared inside the hold, which took ${formatDuration(elapsedMs())} for ${looks} entries. ${why?.message ?? "Watching it is switched off."}`,
    facts: { entries: looks, durationMs: Math.round(elapsedMs()) },
  });
  return looks;
}

function tooLate(options: FreezeTreeOptions, copies: FrozenCopies): HoldfastError {
  return new HoldfastError(
    "FREEZE_FAILED",
    `What changed last in ${options.id} could not be copied within ${options.deadlineMs} ms: ${copies.files} files and ${copies.bytes} bytes so far.`,
    {
      facts: {
        source: options.id,
        deadlineMs: options.deadlineMs,
        filesCopied: copies.files,
        bytesCopied: copies.bytes,
      },
      remedy:
        "Exclude files that are written all the time (caches, logs), put the state folder on the same btrfs or XFS file system so that copies are clones, or raise gateway.holdTimeout.",
    },
  );
}
