import type { Invocation } from "./offline/session.ts";

/**
 * Wraps a command's action for commander: hands it the invocation, its options and its arguments, and keeps the exit code
 * it returns.
 */
export type RunCommand = <Options, Args extends (string | undefined)[]>(
  action: (invocation: Invocation, options: Options, ...args: Args) => Promise<number>,
) => (...given: unknown[]) => Promise<void>;
