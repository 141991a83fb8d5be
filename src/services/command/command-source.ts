import { rm } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError, type SourceId, throwIfAborted } from "../../base/index.ts";
import {
  type Entry,
  type FreezePoint,
  generatedDirectory,
  generatedMetadata,
  type Source,
  type SourceContext,
  type SourceDescription,
} from "../../component/index.ts";
import type { CommandConfig } from "./command-config.ts";
import { checkProgram, DumpRun } from "./command-run.ts";

/**
 * Whatever a dump command writes. It is started inside the hold. Its point in time is fixed when it exits with 0, or
 * earlier, when it writes the line `HOLDFAST_FROZEN` to the file descriptor that the environment variable
 * `HOLDFAST_FREEZE_FD` names: then it goes on after the release. The dump is spooled to the work folder.
 */
export class CommandSource implements Source {
  readonly id: SourceId;
  readonly #config: CommandConfig;
  #context: SourceContext | undefined;
  #run: DumpRun | undefined;
  #frozenAt: Date | undefined;
  #sizeBytes = 0;

  constructor(id: SourceId, config: CommandConfig) {
    this.id = id;
    this.#config = config;
  }

  async prepare(context: SourceContext): Promise<void> {
    this.#context = context;
    await checkProgram(this.#config.dump, this.#config.exec ?? [], context.signal);
  }

  async freeze(deadlineMs: number): Promise<FreezePoint> {
    const context = this.#prepared();
    const startedAt = context.clock.monotonicMs();
    const run = new DumpRun(this.#config.dump, {
      exec: this.#config.exec ?? [],
      path: dumpPath(context),
      signal: context.signal,
    });
    this.#run = run;
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), deadlineMs);
    });
    const outcome = await Promise.race([run.frozen, deadline]).finally(() => clearTimeout(timer));
    if (outcome === "late") {
      // Not waited for: a command may take its time to go, and the hold's other sources must not.
      void run.kill();
      throw tooLate(this.#config, deadlineMs);
    }
    this.#frozenAt = context.clock.now();
    return {
      at: this.#frozenAt,
      durationMs: context.clock.monotonicMs() - startedAt,
      facts: { method: `dump, frozen by ${outcome}` },
    };
  }

  async *read(signal: AbortSignal): AsyncIterable<Entry> {
    const context = this.#prepared();
    const run = this.#run;
    if (run === undefined || this.#frozenAt === undefined) throw new TypeError("The command source was not frozen.");
    throwIfAborted(signal);
    yield generatedDirectory("", this.#frozenAt);
    const abort = (): void => void run.kill();
    signal.addEventListener("abort", abort, { once: true });
    try {
      this.#sizeBytes = await run.finished;
    } catch (error) {
      throwIfAborted(signal);
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
    if (this.#sizeBytes === 0) {
      context.warn({
        kind: "command-dump-empty",
        message: `${this.#config.dump[0]} succeeded without writing a byte.`,
      });
    }
    yield {
      path: Buffer.from("dump"),
      metadata: generatedMetadata("file", this.#frozenAt),
      content: { kind: "file", path: Buffer.from(dumpPath(context)) },
    };
  }

  describe(): SourceDescription {
    return { kind: "command", counts: { bytes: this.#sizeBytes }, fingerprints: {}, facts: {} };
  }

  async dispose(): Promise<void> {
    await this.#run?.kill();
    if (this.#context !== undefined) await rm(dumpPath(this.#context), { force: true });
  }

  /** A dump command whose Holdfast was killed ends by itself: its output is closed. */
  async recover(context: SourceContext): Promise<void> {
    await rm(dumpPath(context), { force: true });
  }

  #prepared(): SourceContext {
    if (this.#context === undefined) throw new TypeError("The command source was not prepared.");
    return this.#context;
  }
}

const dumpPath = (context: SourceContext): string => join(context.workDirectory, "dump");

function tooLate(config: CommandConfig, deadlineMs: number): HoldfastError {
  return new HoldfastError(
    "FREEZE_FAILED",
    `${config.dump[0]} neither ended nor said that it is frozen within ${Math.round(deadlineMs)} ms; it was ended.`,
    {
      facts: { program: config.dump[0] ?? "", deadlineMs: Math.round(deadlineMs) },
      remedy:
        "Let the command write the line HOLDFAST_FROZEN to the file descriptor in $HOLDFAST_FREEZE_FD as soon as its point in time is fixed, raise gateway.holdTimeout, or take a live backup.",
    },
  );
}
