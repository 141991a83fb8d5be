import { realpathSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError, messageOf, systemErrorCode, throwIfAborted } from "../base/index.ts";
import type { SourceId } from "../base/index.ts";
import type { Entry, FreezePoint, Source, SourceContext, SourceDescription } from "../component/index.ts";
import { freezeTree } from "./freeze-tree.ts";
import { leftOutFact } from "./left-out.ts";
import { PathFilter, type PathFilterOptions } from "./path-filter.ts";
import { TreeDirectory } from "./tree-directory.ts";
import { TreeReading } from "./tree-reading.ts";
import { TreeState } from "./tree-state.ts";

export interface TreeSourceOptions extends PathFilterOptions {
  readonly id: SourceId;
  /** For the manifest: "mount", "code", "directory". */
  readonly kind: string;
  /** Absolute path of the folder; it may be a link to it. */
  readonly root: string;
  /** Code of the error for a folder that is missing or unreadable. */
  readonly unusable: "MOUNT_UNUSABLE" | "CODE_UNUSABLE";
  /** "never": find changes by comparing the whole tree, as where the kernel cannot tell. Default: "auto". */
  readonly watch?: "auto" | "never";
  /** For tests: more events at once than that count as an overflow of the kernel's queue. */
  readonly watchQueueLimit?: number;
}

interface BackgroundRounds {
  readonly stop: AbortController;
  readonly done: Promise<void>;
  failure?: unknown;
}

const drainEveryMs = 10;
const roundEveryMs = 1000;
const roundAtDirty = 512;
const littleChanged = 64;
const maxRounds = 10;

/**
 * A tree of files as a source. `prepare` stores everything while the tree is written to, then what changed meanwhile, in
 * rounds, until little does; from then to `freeze` it goes on so in the background. `freeze` looks only at what the
 * kernel says has changed since, and copies that into the work folder; so it costs in proportion to the changes.
 */
export class TreeSource implements Source {
  readonly id: SourceId;
  readonly #options: TreeSourceOptions;
  readonly #filter: PathFilter;
  #state: TreeState | undefined;
  #reading: TreeReading | undefined;
  #drainTimer: NodeJS.Timeout | undefined;
  #background: BackgroundRounds | undefined;

  constructor(options: TreeSourceOptions) {
    this.id = options.id;
    this.#options = options;
    this.#filter = new PathFilter(options);
  }

  async prepare(context: SourceContext): Promise<void> {
    const { root, watch, directory } = this.#openRoot();
    const state = new TreeState({
      context,
      filter: this.#filter,
      root: Buffer.from(root),
      directory,
      watched: watch !== "never",
      ...(this.#options.watchQueueLimit === undefined ? {} : { queueLimit: this.#options.watchQueueLimit }),
    });
    this.#state = state;
    this.#drainTimer = setInterval(() => state.watch.drain(), drainEveryMs);
    this.#drainTimer.unref();
    try {
      await state.scan(context.signal);
      for (let round = 0; round < maxRounds; round += 1) {
        throwIfAborted(context.signal);
        if (!(await state.catchUp(context.signal)) || state.watch.dirtyCount <= littleChanged) break;
      }
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error;
      throw isFull(error) ? workDiskFull(context, error) : this.#unusable(error);
    }
    if (state.watch.loss === undefined) this.#background = this.#startBackground(state, context);
  }

  #openRoot(): { root: string; watch: "auto" | "never"; directory: TreeDirectory } {
    try {
      const root = realpathSync(this.#options.root);
      const directory = TreeDirectory.openRoot(Buffer.from(root));
      try {
        directory.names();
      } catch (error) {
        directory.close();
        throw error;
      }
      return { root, watch: this.#options.watch ?? "auto", directory };
    } catch (error) {
      throw this.#unusable(error);
    }
  }

  #unusable(cause: unknown): HoldfastError {
    const { root, unusable, id } = this.#options;
    const missing = systemErrorCode(cause) === "ENOENT";
    return new HoldfastError(unusable, `The folder ${root} of ${id} cannot be read: ${messageOf(cause)}`, {
      facts: { source: id, path: root, error: systemErrorCode(cause) ?? "" },
      remedy: missing
        ? "Create the folder, or correct its path in the configuration."
        : "Run Holdfast as a user who may read the folder.",
      cause,
    });
  }

  /** Keeps what is stored close to what is there, so that little is left for the freeze, however late it comes. */
  #startBackground(state: TreeState, context: SourceContext): BackgroundRounds {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, context.signal]);
    const run = async (): Promise<void> => {
      let lastRound = performance.now();
      while (!signal.aborted && state.watch.loss === undefined) {
        await delay(drainEveryMs * 5, undefined, { signal, ref: false });
        const dirty = state.watch.dirtyCount;
        const due = dirty >= roundAtDirty || (dirty > 0 && performance.now() - lastRound >= roundEveryMs);
        if (!due) continue;
        await state.catchUp(signal);
        lastRound = performance.now();
      }
    };
    const background: BackgroundRounds = {
      stop,
      done: run().catch((error: unknown) => {
        if (!signal.aborted) background.failure = error;
      }),
    };
    return background;
  }

  async #stopBackground(): Promise<unknown> {
    this.#background?.stop.abort();
    await this.#background?.done;
    const failure = this.#background?.failure;
    this.#background = undefined;
    return failure;
  }

  async freeze(deadlineMs: number): Promise<FreezePoint> {
    const state = this.#state;
    if (state === undefined) throw new TypeError("freeze before prepare");
    const started = state.context.clock.monotonicMs();
    const failure = await this.#stopBackground();
    if (failure !== undefined) throw isFull(failure) ? workDiskFull(state.context, failure) : failure;
    clearInterval(this.#drainTimer);
    const frozen = await freezeTree(state, {
      deadlineMs,
      startedMs: started,
      id: this.id,
      copiesDirectory: join(state.context.workDirectory, "frozen"),
    }).catch((error: unknown) => {
      throw isFull(error) ? workDiskFull(state.context, error) : error;
    });
    this.#reading = new TreeReading(state, frozen.copies);
    return {
      at: frozen.at,
      durationMs: state.context.clock.monotonicMs() - started,
      facts: frozen.facts,
    };
  }

  read(signal: AbortSignal): AsyncIterable<Entry> {
    if (this.#reading === undefined) throw new TypeError("read before freeze");
    return this.#reading.entries(signal);
  }

  describe(): SourceDescription {
    if (this.#reading === undefined) throw new TypeError("describe before freeze");
    const { counts, fingerprints, diskBytes } = this.#reading.summary();
    return { kind: this.#options.kind, counts, fingerprints, facts: { diskBytes, ...leftOutFact(this.#options) } };
  }

  async dispose(): Promise<void> {
    clearInterval(this.#drainTimer);
    await this.#stopBackground();
    this.#state?.close();
    this.#state = undefined;
    this.#reading = undefined;
  }

  /** A tree source leaves nothing behind but its work folder, which is the engine's to remove. */
  async recover(context: SourceContext): Promise<void> {
    context.log.debug("Nothing to recover in a file tree.", { source: this.id });
  }
}

const isFull = (error: unknown): boolean => ["ENOSPC", "EDQUOT"].includes(systemErrorCode(error) ?? "");

/** A tree is only read: what there is no room for is what is written down of it meanwhile. */
function workDiskFull({ workDirectory }: SourceContext, cause: unknown): HoldfastError {
  return new HoldfastError("TARGET_FULL", `The disk of the state folder has no room left, at ${workDirectory}.`, {
    facts: { path: workDirectory, error: systemErrorCode(cause) ?? "" },
    remedy: "Make room on the disk of the state folder and make the backup again; nothing of it was kept.",
    cause,
  });
}
