import type { GlobalOptions } from "../global-options.ts";
import { type CliHost, usesColour } from "../host.ts";
import { JsonProgress } from "./json-progress.ts";
import { PlainProgress } from "./plain-progress.ts";
import { type ProgressDisplay, silentProgress } from "./progress-display.ts";
import { TerminalProgress } from "./terminal-progress.ts";

/** The display that fits standard error: bars on a terminal, lines in a pipe, JSON lines with `--format json`. */
export function createProgress(host: CliHost, options: GlobalOptions, format: string | undefined): ProgressDisplay {
  const { stderr, clock } = host;
  if (format === "json") return new JsonProgress((line) => void stderr.write(`${line}\n`), clock);
  if (options.quiet) return silentProgress;
  if (stderr.isTTY === true && host.env["TERM"] !== "dumb") {
    return new TerminalProgress({
      write: (text) => void stderr.write(text),
      width: () => stderr.columns ?? 80,
      colour: usesColour(stderr, host.env),
      clock,
    });
  }
  return new PlainProgress((line) => void stderr.write(`${line}\n`), clock);
}
