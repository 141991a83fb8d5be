import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { HoldfastError, isHoldfastError, systemErrorCode } from "../../base/index.ts";
import { type ClientTool, runClientTool, startClientTool } from "../client-tool/client-tool.ts";
import { TimeLimit } from "../client-tool/time-limit.ts";

/** The line by which a dump command says, on the file descriptor `HOLDFAST_FREEZE_FD`, that its point in time is fixed. */
export const frozenLine = "HOLDFAST_FROZEN";

// The descriptor is standard error under another number: so it reaches us through any prefix.
const withFreezeDescriptor = 'exec 3>&2; exec "$@"';

/** @throws HoldfastError TOOL_MISSING, SERVICE_UNREACHABLE */
export async function checkProgram(
  command: readonly string[],
  exec: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const [program = ""] = command;
  try {
    await runClientTool("sh", ["-c", 'command -v -- "$1" >/dev/null || exit 3', "sh", program], {
      exec,
      signal,
      timeoutMs: 60_000,
    });
  } catch (error) {
    if (!isHoldfastError(error, "COMMAND_FAILED")) throw error;
    const stderr = String(error.facts["stderr"] ?? "");
    // A prefix that cannot run anything says so; the check itself is silent.
    if (stderr !== "") throw error;
    throw toolMissing(program, exec, error);
  }
}

/** A dump command whose output is written to a file from its start on. */
export class DumpRun {
  /** Resolves when the point in time is fixed: by the command's signal, or by its successful end. */
  readonly frozen: Promise<"signal" | "exit">;
  /** Resolves with the size when the whole dump is in the file and synced, the command having exited with 0. */
  readonly finished: Promise<number>;
  readonly #tool: ClientTool;

  constructor(
    command: readonly string[],
    options: { readonly exec: readonly string[]; readonly path: string; readonly signal?: AbortSignal },
  ) {
    let signalled: () => void = () => undefined;
    const signal = new Promise<"signal">((resolve) => {
      signalled = () => resolve("signal");
    });
    let line = "";
    this.#tool = startClientTool("sh", ["-c", withFreezeDescriptor, "sh", ...command], {
      exec: options.exec,
      env: { HOLDFAST_FREEZE_FD: "3" },
      onStderr: (text) => {
        const lines = (line + text).split("\n");
        line = (lines.pop() ?? "").slice(-1024);
        if (lines.includes(frozenLine)) signalled();
      },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    this.#tool.stdin.end();
    this.finished = this.#spool(command, options);
    this.frozen = Promise.race([signal, this.finished.then(() => "exit" as const)]);
    // Both are looked at later; until then a failure must not count as unhandled.
    this.finished.catch(() => undefined);
    this.frozen.catch(() => undefined);
  }

  /** Ends the command; resolves when it has gone and the file is closed. */
  async kill(): Promise<void> {
    await this.#tool.kill();
    await this.finished.catch(() => undefined);
  }

  async #spool(
    command: readonly string[],
    options: { readonly exec: readonly string[]; readonly path: string },
  ): Promise<number> {
    let sizeBytes = 0;
    let failure: unknown;
    try {
      await using file = await open(options.path, "w", 0o600);
      for await (const chunk of this.#tool.stdout as AsyncIterable<Buffer>) {
        await writeAll(file, chunk);
        sizeBytes += chunk.length;
      }
      await file.sync();
    } catch (error) {
      await this.#tool.kill();
      failure = error;
    }
    if (systemErrorCode(failure) === "ENOSPC") throw noRoom(options.path, failure);
    await finishedWell(this.#tool, command, options.exec);
    if (failure !== undefined) throw failure;
    return sizeBytes;
  }
}

/**
 * Runs a restore command with the file as its standard input.
 * @throws HoldfastError COMMAND_FAILED, TOOL_MISSING, TIMEOUT past `timeoutMs`
 */
export async function runRestore(
  command: readonly string[],
  options: {
    readonly exec: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    readonly path: string;
    readonly timeoutMs?: number;
  },
): Promise<void> {
  const [program = "", ...args] = command;
  const tool = startClientTool(program, args, { exec: options.exec, env: options.env });
  using limit = new TimeLimit(options.timeoutMs, () => tool.kill());
  tool.stdout.resume();
  try {
    await pipeline(createReadStream(options.path), tool.stdin);
  } catch (error) {
    // A command that leaves before it has read all: its exit status says whether that was meant.
    const code = systemErrorCode(error);
    if (code !== "EPIPE" && code !== "ERR_STREAM_PREMATURE_CLOSE" && code !== "ECONNRESET") {
      await tool.kill();
      throw error;
    }
  }
  try {
    await finishedWell(tool, command, options.exec);
  } catch (error) {
    if (!limit.passed) throw error;
    throw new HoldfastError(
      "TIMEOUT",
      `${program} did not finish within ${Math.round(options.timeoutMs ?? 0)} ms and was ended.`,
      {
        facts: { program, timeoutMs: Math.round(options.timeoutMs ?? 0) },
        cause: error,
      },
    );
  }
}

async function finishedWell(tool: ClientTool, command: readonly string[], exec: readonly string[]): Promise<void> {
  const [program = ""] = command;
  try {
    await tool.done;
  } catch (error) {
    if (!isHoldfastError(error, "COMMAND_FAILED")) throw error;
    const exitCode = Number(error.facts["exitCode"]);
    if (exitCode === 127) throw toolMissing(program, exec, error);
    const stderr = String(error.facts["stderr"] ?? "")
      .split("\n")
      .filter((line) => line !== frozenLine)
      .join("\n");
    const how = exitCode === -1 ? "was ended by a signal" : `exited with ${exitCode}`;
    throw new HoldfastError(
      "COMMAND_FAILED",
      `${[...exec, program].join(" ")} ${how}${stderr === "" ? "" : `: ${stderr}`}`,
      {
        facts: { program, exitCode, stderr },
        remedy: "Run the command by hand, see what it says, and correct it or the configuration.",
        cause: error,
      },
    );
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
}

function noRoom(path: string, cause: unknown): HoldfastError {
  return new HoldfastError("TARGET_FULL", `No room left for the dump at ${path}.`, {
    facts: { path },
    remedy: "Make room in the state folder: a dump is kept there until it is stored.",
    cause,
  });
}

function toolMissing(program: string, exec: readonly string[], cause: unknown): HoldfastError {
  const where = exec.length === 0 ? "" : ` (under ${exec.join(" ")})`;
  return new HoldfastError("TOOL_MISSING", `The program ${program} is not installed or not in PATH${where}.`, {
    facts: { program },
    remedy: `Install ${program}, or correct the service's dump, restore and exec.`,
    cause,
  });
}
