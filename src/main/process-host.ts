import { spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import type { Writable } from "node:stream";
import { HoldfastError, systemClock, systemErrorCode } from "../base/index.ts";
import type { CliHost } from "../cli/index.ts";

const interruptedExit = 130;
const backgroundVariable = "HOLDFAST_BACKGROUND_NAME";

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

  // Taken out at once: what this process starts is not in its place.
  const backgroundName = process.env[backgroundVariable];
  delete process.env[backgroundVariable];

  return {
    host: {
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      env: process.env,
      cwd: process.cwd(),
      clock: systemClock,
      signal: abort.signal,
      backgroundName,
      startInBackground,
    },
    flush: async () => {
      if (!stdoutGone) await flushed(process.stdout);
      await flushed(process.stderr);
    },
  };
}

async function startInBackground({ as, output }: { readonly as: string; readonly output: string }): Promise<void> {
  const [program = "", ...args] = process.argv.slice(1);
  await using log = await open(output, "a", 0o600);
  const child = spawn(process.execPath, [...process.execArgv, program, "--yes", "--no-interaction", ...args], {
    detached: true,
    stdio: ["ignore", log.fd, log.fd],
    env: { ...process.env, [backgroundVariable]: as },
  });
  await once(child, "spawn");
  child.unref();
}

/** Resolves when everything written so far has been handed to the system, or cannot be. */
async function flushed(stream: Writable): Promise<void> {
  await new Promise<void>((resolve) => stream.write("", () => resolve()));
}
