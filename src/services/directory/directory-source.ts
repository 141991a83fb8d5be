import { rmSync } from "node:fs";
import { join } from "node:path";
import { HoldfastError, messageOf, type SourceId } from "../../base/index.ts";
import type { Entry, FreezePoint, Source, SourceContext, SourceDescription } from "../../component/index.ts";
import { readDurable, TreeSource, writeDurably } from "../../filetree/index.ts";
import { runClientTool } from "../client-tool/client-tool.ts";
import type { DirectoryConfig } from "./directory-config.ts";

const thawTimeoutMs = 10_000;

/**
 * Any data folder: stored like a mount, with a command that makes its service hold still while the last changes are taken
 * and one that lets it go on. The second always runs once the first was begun, also after a failure or a crash.
 */
export class DirectorySource implements Source {
  readonly id: SourceId;
  readonly #config: DirectoryConfig;
  readonly #tree: TreeSource;
  #context: SourceContext | undefined;

  /** @param apart paths in the folder that are components of their own: they are left out */
  constructor(id: SourceId, config: DirectoryConfig, apart: readonly string[] = []) {
    this.id = id;
    this.#config = config;
    this.#tree = new TreeSource({ id, kind: "directory", root: config.path, unusable: "MOUNT_UNUSABLE", apart });
  }

  async prepare(context: SourceContext): Promise<void> {
    this.#context = context;
    await this.#tree.prepare(context);
  }

  async freeze(deadlineMs: number): Promise<FreezePoint> {
    const context = this.#context;
    if (context === undefined) throw new TypeError("freeze before prepare");
    const { freeze } = this.#config;
    if (freeze === undefined) return this.#tree.freeze(deadlineMs);
    const started = context.clock.monotonicMs();
    writeDurably(markFile(context), { begun: true });
    let point: FreezePoint;
    let frozenAfterMs: number;
    try {
      await this.#run(freeze, deadlineMs, context.signal).catch((error: unknown) => {
        throw this.#freezeFailed(freeze, error);
      });
      frozenAfterMs = context.clock.monotonicMs() - started;
      point = await this.#tree.freeze(Math.max(1, deadlineMs - frozenAfterMs));
    } catch (error) {
      await this.#thaw(context).catch((thawError: unknown) => {
        // The first error is the one to tell; `dispose` tries again, and tells if that fails too.
        context.log.error("The service was not thawed.", { source: this.id, error: messageOf(thawError) });
      });
      throw error;
    }
    await this.#thaw(context);
    return {
      at: point.at,
      durationMs: context.clock.monotonicMs() - started,
      facts: { ...point.facts, freezeCommandMs: Math.round(frozenAfterMs) },
    };
  }

  /** Without the operation's signal: an operation that is cancelled must let go all the same. */
  async #thaw(context: SourceContext): Promise<void> {
    const { thaw } = this.#config;
    if (thaw === undefined || readDurable(markFile(context)) === undefined) return;
    try {
      await this.#run(thaw, thawTimeoutMs, undefined);
    } catch (error) {
      throw new HoldfastError(
        "FREEZE_FAILED",
        `The service "${this.id}" was frozen, and its thaw command ${thaw[0]} failed: ${messageOf(error)}`,
        {
          facts: { source: this.id, program: thaw[0] ?? "" },
          remedy: "Let the service go on by hand; then correct the thaw command in the configuration.",
          cause: error,
        },
      );
    }
    rmSync(markFile(context), { force: true });
  }

  async #run(command: readonly string[], timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    const [program, ...args] = command;
    await runClientTool(program as string, args, {
      exec: this.#config.exec ?? [],
      timeoutMs,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  #freezeFailed(freeze: readonly string[], error: unknown): unknown {
    if (!(error instanceof HoldfastError) || (error.code !== "COMMAND_FAILED" && error.code !== "TIMEOUT"))
      return error;
    return new HoldfastError("FREEZE_FAILED", `The freeze command of "${this.id}" failed: ${error.message}`, {
      facts: { source: this.id, program: freeze[0] ?? "", ...error.facts },
      remedy: "Run the command by hand and see what it says; it must end well before gateway.holdTimeout.",
      cause: error,
    });
  }

  read(signal: AbortSignal): AsyncIterable<Entry> {
    return this.#tree.read(signal);
  }

  describe(): SourceDescription {
    return this.#tree.describe();
  }

  async dispose(): Promise<void> {
    try {
      if (this.#context !== undefined) await this.#thaw(this.#context);
    } finally {
      await this.#tree.dispose();
    }
  }

  async recover(context: SourceContext): Promise<void> {
    await this.#thaw(context);
  }
}

/** There from before the freeze command begins until the thaw command has succeeded. */
const markFile = (context: SourceContext): string => join(context.workDirectory, "freeze-begun.json");
