import { spawn } from "node:child_process";
import { once } from "node:events";
import { HoldfastError, sendSignal, systemErrorCode } from "../../base/index.ts";

/** Standard error that an error message shows at most. */
const shownStderr = 2000;

export interface GatewayCommandOptions {
  /** What the command does, for errors: "hold". */
  readonly purpose: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Runs a command to its end, in a process group of its own, which is killed past the time limit or on abort.
 * @throws HoldfastError TOOL_MISSING, COMMAND_FAILED, TIMEOUT, INTERRUPTED
 */
export async function runGatewayCommand(command: readonly string[], options: GatewayCommandOptions): Promise<void> {
  const { purpose, timeoutMs, signal } = options;
  const [program = "", ...args] = command;
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], detached: true });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-shownStderr);
  });
  let why: "TIMEOUT" | "INTERRUPTED" | undefined;
  const kill = (reason: "TIMEOUT" | "INTERRUPTED"): void => {
    why ??= reason;
    if (child.pid !== undefined) sendSignal(-child.pid, "SIGKILL");
    // A grandchild in another group may keep the pipe open.
    child.stderr.destroy();
  };
  const timer = setTimeout(() => kill("TIMEOUT"), timeoutMs);
  const onAbort = (): void => kill("INTERRUPTED");
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  let exitCode: number | null;
  let exitSignal: NodeJS.Signals | null;
  try {
    // `exit`, not `close`: what the command leaves in the background may keep its standard error.
    [exitCode, exitSignal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw failed(program, purpose, `could not be started: ${String(error)}`);
    throw new HoldfastError("TOOL_MISSING", `The gateway's ${purpose} command ${program} is not installed.`, {
      facts: { program },
      remedy: `Install ${program}, or correct gateway.${purpose}.`,
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
  if (why === "INTERRUPTED") {
    if (signal?.reason instanceof HoldfastError) throw signal.reason;
    throw new HoldfastError("INTERRUPTED", `The gateway's ${purpose} command was interrupted.`);
  }
  if (why === "TIMEOUT") {
    const message = `The gateway's ${purpose} command ${program} did not end within ${timeoutMs} ms.`;
    throw new HoldfastError("TIMEOUT", message, { facts: { program, timeoutMs } });
  }
  if (exitCode === 0) return;
  const said = stderr.trim();
  const how = exitCode === null ? `was ended by ${exitSignal}` : `exited with ${exitCode}`;
  throw failed(program, purpose, said === "" ? how : `${how}: ${said}`);
}

function failed(program: string, purpose: string, how: string): HoldfastError {
  return new HoldfastError("COMMAND_FAILED", `The gateway's ${purpose} command ${program} ${how}.`, {
    facts: { program, purpose },
    remedy: `Run it by hand to see why, or correct gateway.${purpose}.`,
  });
}
