import { access, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError, messageOf, type SourceId, systemErrorCode, throwIfAborted } from "../../base/index.ts";
import type { Restorable, StageReport, SwapReport, Target, TargetContext } from "../../component/index.ts";
import type { CommandConfig } from "./command-config.ts";
import { checkProgram, DumpRun, runRestore } from "./command-run.ts";
import { endOrphanedRestores, restoreMark, restoreVariable } from "./orphaned-commands.ts";

/**
 * A restore command has one effect only: so `stage` brings the dump here and rehearses the dump command, and `swap`, in
 * the hold, takes a safety dump of the live data and runs the restore command. `swapBack` loads the safety dump. This is
 * as atomic as the restore command is itself; the report says so.
 */
export class CommandTarget implements Target {
  readonly id: SourceId;
  readonly #config: CommandConfig;

  constructor(id: SourceId, config: CommandConfig) {
    this.id = id;
    this.#config = config;
  }

  async stage(context: TargetContext, backup: Restorable): Promise<StageReport> {
    const paths = workPaths(context);
    const exec = this.#exec;
    await checkProgram(this.#config.restore, exec, context.signal);
    await checkProgram(this.#config.dump, exec, context.signal);
    for (const path of [paths.staged, paths.arriving, paths.rehearsal]) await rm(path, { force: true });
    let bytes: number | undefined;
    for await (const entry of backup.entries) {
      throwIfAborted(context.signal);
      const name = entry.path.toString("latin1");
      if (name === "") continue;
      if (name !== "dump" || entry.content === undefined) {
        throw new HoldfastError(
          "ENTRY_UNSAFE",
          `The backup of ${this.id} holds ${JSON.stringify(name)}, which does not belong there.`,
        );
      }
      const [result] = await context.contents.writeFiles(
        [{ path: Buffer.from(paths.arriving), content: entry.content }],
        context.signal,
      );
      if (result?.status !== "written") throw this.#stageFailed(result?.message ?? "nothing was written");
      bytes = entry.content.sizeBytes;
      context.progress({ expectedBytes: bytes, bytes });
    }
    throwIfAborted(context.signal);
    if (bytes === undefined) throw this.#stageFailed("the backup holds no dump");
    // Whether the live data can be dumped must be known before the hold.
    await this.#dumpTo(paths.rehearsal, context.signal);
    await rm(paths.rehearsal);
    await syncFile(paths.arriving);
    await rename(paths.arriving, paths.staged);
    return { files: 1, bytes, reusedBytes: 0 };
  }

  async swap(context: TargetContext, deadlineMs: number): Promise<SwapReport> {
    const paths = workPaths(context);
    const startedAt = context.clock.monotonicMs();
    const left = (): number => Math.max(1, Math.round(deadlineMs - (context.clock.monotonicMs() - startedAt)));
    const facts = { method: "restore command", atomic: false };
    if (await exists(paths.restored)) return { durationMs: 0, facts };
    if (!(await exists(paths.staged))) throw this.#swapFailed("nothing is staged");
    try {
      // A second try after a failed one keeps the first safety dump: it is the one of the untouched data.
      if (!(await exists(paths.begun))) {
        await this.#dumpTo(paths.rehearsal, AbortSignal.timeout(left()));
        await rename(paths.rehearsal, paths.safety);
        await note(paths.begun);
      }
      await this.#restore(context, paths.staged, left());
      await note(paths.restored);
    } catch (error) {
      throw this.#swapFailed(messageOf(error), error);
    }
    return { durationMs: context.clock.monotonicMs() - startedAt, facts };
  }

  async swapBack(context: TargetContext): Promise<void> {
    const paths = workPaths(context);
    if (await exists(paths.begun)) {
      await endOrphanedRestores(restoreMark(context.operationId, this.id));
      try {
        await this.#restore(context, paths.safety);
      } catch (error) {
        throw new HoldfastError(
          "RECOVERY_FAILED",
          `The old data of ${this.id} could not be loaded again: ${messageOf(error)}`,
          {
            facts: { safetyDump: paths.safety },
            remedy:
              "Correct what the command complains about and run any command of Holdfast: it tries again. The old data is in the safety dump.",
            cause: error,
          },
        );
      }
      // From here on clients may write: the safety dump must not be loaded over that, also not after a power cut.
      await rm(paths.begun, { force: true });
      await syncFile(context.workDirectory);
    }
  }

  async revert(context: TargetContext): Promise<void> {
    await this.swapBack(context);
    await this.settle(context);
  }

  async settle(context: TargetContext): Promise<void> {
    const paths = workPaths(context);
    // "begun" goes first: without it there is nothing to revert, whatever else is still there.
    for (const path of [paths.begun, paths.restored, paths.safety, paths.staged, paths.arriving, paths.rehearsal]) {
      await rm(path, { force: true });
    }
  }

  get #exec(): readonly string[] {
    return this.#config.exec ?? [];
  }

  #restore(context: TargetContext, path: string, timeoutMs?: number): Promise<void> {
    return runRestore(this.#config.restore, {
      exec: this.#exec,
      env: { [restoreVariable]: restoreMark(context.operationId, this.id) },
      path,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  }

  async #dumpTo(path: string, signal: AbortSignal): Promise<void> {
    const run = new DumpRun(this.#config.dump, { exec: this.#exec, path, signal });
    await run.finished;
  }

  #stageFailed(why: string): HoldfastError {
    return new HoldfastError(
      "SERVICE_STAGE_FAILED",
      `The dump of ${this.id} could not be made ready: ${why}. Nothing was changed.`,
    );
  }

  #swapFailed(why: string, cause?: unknown): HoldfastError {
    return new HoldfastError("SERVICE_SWAP_FAILED", `The data of ${this.id} could not be replaced: ${why}`, {
      remedy:
        "The old data is loaded again from the safety dump. Make the commands faster or raise gateway.holdTimeout, and restore again.",
      cause,
    });
  }
}

interface WorkPaths {
  readonly arriving: string;
  readonly staged: string;
  readonly rehearsal: string;
  readonly safety: string;
  /** Exists from just before the restore command's start. */
  readonly begun: string;
  /** Exists once it has succeeded. */
  readonly restored: string;
}

function workPaths({ workDirectory }: TargetContext): WorkPaths {
  const at = (name: string): string => join(workDirectory, `command-${name}`);
  return {
    arriving: at("arriving.dump"),
    staged: at("staged.dump"),
    rehearsal: at("rehearsal.dump"),
    safety: at("safety.dump"),
    begun: at("begun"),
    restored: at("restored"),
  };
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return false;
    throw error;
  }
}

async function syncFile(path: string): Promise<void> {
  await using file = await open(path, "r");
  await file.sync();
}

async function note(path: string): Promise<void> {
  await using file = await open(path, "w", 0o600);
  await file.sync();
}
