import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { PassThrough, type Readable, type Writable } from "node:stream";
import { HoldfastError, sendSignal, systemErrorCode, throwIfAborted } from "../../base/index.ts";
import { quoteForShell } from "./shell-quote.ts";
import { TimeLimit } from "./time-limit.ts";

export interface ClientToolOptions {
  /** The `exec` prefix of the configuration: `["ssh", "db-1"]`, `["docker", "exec", "-i", "db"]`; empty for none. */
  readonly exec: readonly string[];
  /** Environment variables without secrets. Under a prefix they are set on the other side. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Environment variables that hold secrets. Without a prefix they are in the child's environment; under one they go
   * through its standard input, never on a command line. Their values are blotted out of every error.
   */
  readonly secrets?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Standard error as it arrives, secrets not blotted out. */
  readonly onStderr?: (text: string) => void;
  /** Kills the tool. */
  readonly signal?: AbortSignal;
}

/** A running client program. Its process group is its own, so that Ctrl-C in a terminal reaches only Holdfast. */
export interface ClientTool {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** The last 16 kB of standard error, secrets blotted out. */
  stderr(): string;
  /**
   * Resolves when the tool has exited with 0 and its output is closed.
   * @throws HoldfastError TOOL_MISSING, COMMAND_FAILED (facts `exitCode`, `stderr`), INTERRUPTED
   */
  readonly done: Promise<void>;
  /** SIGTERM to the tool's process group, SIGKILL after two seconds. Resolves when it has gone. */
  kill(): Promise<void>;
}

const stderrLimit = 16_384;

/** Starts a client program under the prefix. Give its input to `stdin` and end it. */
export function startClientTool(program: string, args: readonly string[], options: ClientToolOptions): ClientTool {
  throwIfAborted(options.signal);
  const { command, childArgs, childEnv, preamble } = commandLine(program, args, options);
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(command, childArgs, {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: "C.UTF-8", ...childEnv },
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });

  // When a child exits, Node throws away what nobody has begun to read: this reads from the start.
  const stdout = child.stdout.pipe(new PassThrough());
  child.stdout.on("error", (error) => stdout.destroy(error));

  let errorText = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text: string) => {
    errorText = (errorText + text).slice(-stderrLimit);
    options.onStderr?.(text);
  });
  const stderr = (): string =>
    blotOut(errorText, [...Object.values(options.secrets ?? {}), ...environmentSecrets()])
      // Tabs, for one: psql indents with them.
      .replaceAll(/[^\P{Cc}\n]/gu, " ")
      .trim();

  // A tool that exits early closes its input: its exit status says why, so the broken pipe itself is no news.
  child.stdin.on("error", (error) => {
    if (systemErrorCode(error) !== "EPIPE" && systemErrorCode(error) !== "ERR_STREAM_DESTROYED") {
      errorText += `\nstandard input: ${error.message}`;
    }
  });
  if (preamble !== "") child.stdin.write(preamble);

  const signalGroup = (signal: NodeJS.Signals): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    sendSignal(-child.pid, signal);
  };
  const gone = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const kill = async (): Promise<void> => {
    signalGroup("SIGTERM");
    const timer = setTimeout(() => signalGroup("SIGKILL"), 2000);
    stdout.destroy();
    child.stdout.destroy();
    await gone;
    clearTimeout(timer);
  };
  const onAbort = (): void => void kill();
  options.signal?.addEventListener("abort", onAbort, { once: true });

  const done = (async (): Promise<void> => {
    const name = [...options.exec, program].join(" ");
    let exitCode: number | null;
    let exitSignal: NodeJS.Signals | null;
    try {
      [exitCode, exitSignal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") throw toolMissing(options.exec[0] ?? program, options.exec, error);
      throw new HoldfastError("COMMAND_FAILED", `${name} could not be started: ${(error as Error).message}`, {
        cause: error,
      });
    } finally {
      options.signal?.removeEventListener("abort", onAbort);
    }
    throwIfAborted(options.signal);
    if (exitCode === 0) return;
    if (exitCode === 127 && options.exec.length > 0) throw toolMissing(program, options.exec, undefined);
    const how = exitCode === null ? `was ended by ${exitSignal}` : `exited with ${exitCode}`;
    const said = stderr();
    throw new HoldfastError("COMMAND_FAILED", `${name} ${how}${said === "" ? "" : `: ${said}`}`, {
      facts: { program, exitCode: exitCode ?? -1, stderr: said },
    });
  })();
  // The caller may look at `done` only after it has drained stdout; until then a failure must not count as unhandled.
  done.catch(() => undefined);

  return { stdin: child.stdin, stdout, stderr, done, kill };
}

/**
 * Runs a tool to its end and returns its standard output as text.
 * @throws as `ClientTool.done`, and COMMAND_FAILED past `maxOutputBytes` (default 16 MiB), TIMEOUT past `timeoutMs`
 */
export async function runClientTool(
  program: string,
  args: readonly string[],
  options: ClientToolOptions & {
    readonly input?: string;
    readonly timeoutMs?: number;
    readonly maxOutputBytes?: number;
  },
): Promise<string> {
  const tool = startClientTool(program, args, options);
  using limit = new TimeLimit(options.timeoutMs, () => tool.kill());
  tool.stdin.end(options.input ?? "");
  const chunks: Buffer[] = [];
  let size = 0;
  const maxBytes = options.maxOutputBytes ?? 16 * 1024 * 1024;
  try {
    for await (const chunk of tool.stdout as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) {
        await tool.kill();
        throw new HoldfastError("COMMAND_FAILED", `${program} printed more than ${maxBytes} bytes.`);
      }
      chunks.push(chunk);
    }
  } catch (error) {
    if (!limit.passed && options.signal?.aborted !== true) throw error;
  }
  try {
    await tool.done;
  } catch (error) {
    if (limit.passed) {
      throw new HoldfastError("TIMEOUT", `${program} did not finish within ${options.timeoutMs} ms.`, {
        cause: error,
      });
    }
    throw error;
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** A tool's standard output as a stream for the repository; throws at the end if the tool failed. */
export async function* clientToolOutput(tool: ClientTool): AsyncIterable<Uint8Array> {
  let ended = false;
  try {
    for await (const chunk of tool.stdout as AsyncIterable<Buffer>) yield chunk;
    ended = true;
  } finally {
    if (!ended) await tool.kill();
  }
  await tool.done;
}

function commandLine(
  program: string,
  args: readonly string[],
  options: ClientToolOptions,
): { command: string; childArgs: string[]; childEnv: Record<string, string>; preamble: string } {
  const [prefix, ...prefixArgs] = options.exec;
  if (prefix === undefined) {
    return { command: program, childArgs: [...args], childEnv: { ...options.env, ...options.secrets }, preamble: "" };
  }
  // On the other side of ssh or docker exec our environment does not arrive: a small shell script reads the secrets
  // from the first lines of standard input (`read` takes no byte beyond its line) and becomes the tool.
  const secrets = Object.entries(options.secrets ?? {});
  for (const [name, value] of secrets) {
    if (value.includes("\n")) throw new TypeError(`The secret for ${name} contains a line break.`);
  }
  const script = [...secrets.map(([name]) => `IFS= read -r ${name} && export ${name}`), 'exec "$@"'].join(" && ");
  const env = Object.entries({ LC_ALL: "C.UTF-8", ...options.env }).map(([name, value]) => `${name}=${value}`);
  const remote = ["env", ...env, "sh", "-c", script, "sh", program, ...args];
  // ssh joins its arguments with spaces and hands them to a shell.
  const isSsh = /(^|\/)ssh$/.test(prefix);
  return {
    command: prefix,
    childArgs: [...prefixArgs, ...(isSsh ? [remote.map(quoteForShell).join(" ")] : remote)],
    childEnv: {},
    preamble: secrets.map(([, value]) => `${value}\n`).join(""),
  };
}

function toolMissing(program: string, exec: readonly string[], cause: unknown): HoldfastError {
  const where = exec.length > 0 && program !== exec[0] ? ` (under ${exec.join(" ")})` : "";
  return new HoldfastError("TOOL_MISSING", `The program ${program} is not installed or not in PATH${where}.`, {
    facts: { program },
    remedy: `Install ${program}, or set the service's exec prefix to where it is.`,
    cause,
  });
}

/** Our own environment goes on to the tool; what looks like a secret there must not come back in an error. */
function environmentSecrets(): string[] {
  return Object.entries(process.env).flatMap(([name, value]) =>
    value !== undefined && value.length >= 6 && /PASS|SECRET|TOKEN|CREDENTIAL|_KEY$/i.test(name) ? [value] : [],
  );
}

function blotOut(text: string, secrets: readonly string[]): string {
  return secrets.filter((secret) => secret.length > 0).reduce((rest, secret) => rest.replaceAll(secret, "***"), text);
}
