import { spawn } from "node:child_process";
import { once } from "node:events";
import { HoldfastError, messageOf, sendSignal } from "../base/index.ts";

/** A person may have to touch a token; nobody waits longer than this. */
const timeLimitMs = 60_000;
const longestOutput = 4096;
const shownStderr = 500;

/**
 * The first line that a password command prints. It gets no standard input; what it prints is never shown.
 * @throws HoldfastError CONFIG_INVALID if it cannot be started, fails, prints no password or does not end; INTERRUPTED
 */
export async function runPasswordCommand(command: readonly string[], signal?: AbortSignal): Promise<string> {
  const [program = "", ...args] = command;
  // A process group of its own, so that what it has started ends with it.
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  let output = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output = (output + text).slice(0, longestOutput + 1);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-shownStderr);
  });
  let stopped: "time" | "signal" | undefined;
  const stop = (why: "time" | "signal"): void => {
    stopped ??= why;
    if (child.pid !== undefined) sendSignal(-child.pid, "SIGKILL");
    child.stdout.destroy();
    child.stderr.destroy();
  };
  const timer = setTimeout(() => stop("time"), timeLimitMs);
  const onAbort = (): void => stop("signal");
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  let exitCode: number | null;
  try {
    [exitCode] = (await once(child, "close")) as [number | null];
  } catch (error) {
    throw unusable(program, `cannot be started: ${messageOf(error)}`, error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
  if (stopped === "signal") {
    if (signal?.reason instanceof HoldfastError) throw signal.reason;
    throw new HoldfastError("INTERRUPTED", "The password command was interrupted.");
  }
  if (stopped === "time") throw unusable(program, `did not end within ${timeLimitMs / 1000} s`);
  if (exitCode !== 0)
    throw unusable(program, `failed (${exitCode ?? "killed"})${stderr === "" ? "" : `: ${stderr.trim()}`}`);
  const password = output.split(/\r?\n/, 1)[0] ?? "";
  if (password === "" || output.length > longestOutput) throw unusable(program, "does not print a password");
  return password;
}

function unusable(program: string, what: string, cause?: unknown): HoldfastError {
  return new HoldfastError("CONFIG_INVALID", `The password command ${program} ${what}.`, {
    facts: { program },
    remedy: "Run it by hand as this user: its first line on standard output is the repository's password.",
    cause,
  });
}
