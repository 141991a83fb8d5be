import type { Writable } from "node:stream";
import { HoldfastError, systemClock, systemErrorCode } from "../base/index.ts";
import type { CliHost } from "../cli/index.ts";

const interruptedExit = 130;

/**
 * This process as a command sees it. The first SIGINT or SIGTERM aborts the command's signal, so that it undoes what it
 * began; the second ends the process at once. Output that nobody reads any more aborts it, too.
 */
export function watchProcess(): { readonly host: CliHost; readonly flush: () => Promise<void> } {
  const abort = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (abort.signal.aborted) process.exit(interruptedExit);
    abort.abort(
      new HoldfastError("INTERRUPTED", `Interrupted by ${signal}. What was begun has been undone.`, {
        facts: { signal },
      }),
    );
    if (signal === "SIGINT" && process.stderr.isTTY) {
      process.stderr.write("\nStopping. Press Ctrl-C again to stop at once; the next command then cleans up.\n");
    }
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  // A terminal that was closed.
  process.on("SIGHUP", onSignal);

  let stdoutGone = false;
  process.stdout.on("error", (error) => {
    stdoutGone = true;
    if (systemErrorCode(error) === "EPIPE") {
      abort.abort(new HoldfastError("INTERRUPTED", "Nobody reads the output any more.", { cause: error }));
    } else {
      abort.abort(error);
    }
  });
  process.stderr.on("error", (error) => {
    // A log that nobody reads is no reason to stop; anything else is unheard of.
    if (systemErrorCode(error) !== "EPIPE") abort.abort(error);
  });

  return {
    host: {
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      env: process.env,
      cwd: process.cwd(),
      clock: systemClock,
      signal: abort.signal,
    },
    flush: async () => {
      if (!stdoutGone) await flushed(process.stdout);
      await flushed(process.stderr);
    },
  };
}

/** Resolves when everything written so far has been handed to the system, or cannot be. */
async function flushed(stream: Writable): Promise<void> {
  await new Promise<void>((resolve) => stream.write("", () => resolve()));
}
