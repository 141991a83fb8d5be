import type { Readable, Writable } from "node:stream";
import type { Clock } from "../base/index.ts";

export interface TerminalOutput extends Writable {
  readonly isTTY?: boolean;
  /** Width in characters, on a terminal. */
  readonly columns?: number;
}

export interface TerminalInput extends Readable {
  readonly isTTY?: boolean;
}

/** What a command has of the process it runs in; tests hand in their own. */
export interface CliHost {
  readonly stdin: TerminalInput;
  readonly stdout: TerminalOutput;
  readonly stderr: TerminalOutput;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where relative paths of arguments start. */
  readonly cwd: string;
  readonly clock: Clock;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** In a process that `startInBackground` has started: the name under which it does its work. */
  readonly backgroundName: string | undefined;
  /**
   * Starts this process's command line once more in a session of its own, with `--yes`; what it prints is appended to the
   * file `output`. Resolves when it runs. @throws what the system says if it cannot be started
   */
  readonly startInBackground: (options: { readonly as: string; readonly output: string }) => Promise<void>;
}

/** May this stream be coloured? */
export function usesColour(stream: TerminalOutput, env: CliHost["env"]): boolean {
  return stream.isTTY === true && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
}
