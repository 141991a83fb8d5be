import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const program = join(import.meta.dirname, "../../bin/holdfast.js");

export type Variables = Readonly<Record<string, string>>;

/** Runs a command of Holdfast to its end, with a configuration of this folder. @throws Error with what it said, if it failed */
export async function runHoldfast(configuration: string, args: readonly string[], env: Variables): Promise<string> {
  const command = [program, "-c", join(import.meta.dirname, configuration), ...args];
  const { stdout } = await promisify(execFile)(process.execPath, command, { env: { ...process.env, ...env } });
  return stdout;
}

/** A process of Holdfast that runs until it is told to stop, or killed. */
export class HoldfastProcess {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #killAtExit: () => void;
  #said = "";

  private constructor(configuration: string, args: readonly string[], env: Variables) {
    const command = [program, "-c", join(import.meta.dirname, configuration), ...args];
    this.#child = spawn(process.execPath, command, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#closed = once(this.#child, "close");
    this.#killAtExit = (): void => void this.#child.kill("SIGKILL");
    process.once("exit", this.#killAtExit);
  }

  /** Starts it; resolves with what it said that matches, once it has said so. @throws Error if it ends before */
  static async start(
    configuration: string,
    args: readonly string[],
    { env, ready }: { readonly env: Variables; readonly ready: RegExp },
  ): Promise<{ readonly running: HoldfastProcess; readonly said: RegExpExecArray }> {
    const running = new HoldfastProcess(configuration, args, env);
    const found = Promise.withResolvers<RegExpExecArray>();
    createInterface({ input: running.#child.stderr ?? process.stdin }).on("line", (line) => {
      running.#said = `${running.#said}${line}\n`.slice(-8192);
      const match = ready.exec(line);
      if (match !== null) found.resolve(match);
    });
    void running.#closed.then(() => found.reject(new Error(`${args.join(" ")} ended:\n${running.#said}`)));
    return { running, said: await found.promise };
  }

  /** Ends it and waits for its end. Idempotent. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.#child.kill(signal);
    await this.#closed;
    process.off("exit", this.#killAtExit);
  }
}
