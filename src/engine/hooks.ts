import { HoldfastError } from "../base/index.ts";
import { runClientTool } from "../services/index.ts";
import type { Hooks } from "./environment.ts";

const hookTimeoutMs = 10 * 60_000;

/** Runs the commands of one hook in order. @throws HoldfastError COMMAND_FAILED, TOOL_MISSING, naming the hook */
export async function runHook(name: keyof Hooks, commands: Hooks[keyof Hooks], signal?: AbortSignal): Promise<void> {
  for (const [program, ...args] of commands) {
    if (program === undefined) continue;
    try {
      await runClientTool(program, args, {
        exec: [],
        timeoutMs: hookTimeoutMs,
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      throw new HoldfastError(error.code, `Hook ${name}: ${error.message}`, {
        facts: { ...error.facts, hook: name },
        remedy: error.remedy ?? `Mend or remove the command under hooks.${name} in the configuration.`,
        cause: error,
      });
    }
  }
}
