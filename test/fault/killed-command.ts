import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import type { Site } from "../../examples/shop/site.ts";

/** A line of a command's standard error with `--format json`. */
export interface CommandEvent {
  readonly type: string;
  readonly phase?: string;
  readonly operation?: string;
  readonly outcome?: string;
  /** Of "held". */
  readonly figures?: { readonly heldMs: number };
}

export interface CommandEnd {
  readonly exitCode: number | null;
  /** True if our signal ended it, not it itself. */
  readonly killed: boolean;
  readonly durationMs: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly events: readonly CommandEvent[];
  /** Milliseconds since its start, by "started hold", "ended hold". */
  readonly phases: ReadonlyMap<string, number>;
}

/** When to kill: so long after the start of the process, or after the event that starts or ends a phase. */
export interface KillAt {
  readonly after: "start" | `started ${string}`;
  readonly delayMs: number;
}

/** Runs a command of the CLI to its end or to SIGKILL. `onKill` is called in the same turn in which the signal was sent. */
export async function runCommand(
  site: Site,
  args: readonly string[],
  kill?: KillAt,
  onKill: () => void = () => undefined,
): Promise<CommandEnd> {
  const child = site.spawnHoldfast([...args, "--yes", "--format", "json"]);
  const startedAtMs = performance.now();
  const { stdout: out, stderr: err } = child;
  if (out === null || err === null) throw new TypeError("The command has no pipes.");
  const events: CommandEvent[] = [];
  const phases = new Map<string, number>();
  let stdout = "";
  let stderr = "";
  let killSent = false;
  const killLater = async (delayMs: number): Promise<void> => {
    const dueAtMs = performance.now() + delayMs;
    // Timers are due by whole milliseconds; the rest of the turns are short.
    if (delayMs > 2) await wait(delayMs - 1);
    while (performance.now() < dueAtMs) await new Promise(setImmediate);
    killSent = child.kill("SIGKILL");
    onKill();
  };
  const killing: Promise<void>[] = [];
  if (kill?.after === "start") killing.push(killLater(kill.delayMs));
  out.on("data", (text: Buffer) => {
    stdout += text.toString();
  });
  createInterface({ input: err }).on("line", (line) => {
    stderr = `${stderr}${line}\n`.slice(-20_000);
    const event = parseEvent(line);
    if (event === undefined) return;
    if (event.type !== "progress") events.push(event);
    if (event.phase === undefined || !event.type.startsWith("phase-")) return;
    const name = `${event.type.slice("phase-".length)} ${event.phase}`;
    phases.set(name, performance.now() - startedAtMs);
    if (kill?.after === name) killing.push(killLater(kill.delayMs));
  });
  const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  const closed = once(child, "close");
  const [exitCode, signal] = await exited;
  const durationMs = performance.now() - startedAtMs;
  if (signal === null) await closed;
  // Programs that the command started may hold its pipes open longer than it lives.
  out.destroy();
  err.destroy();
  await Promise.all(killing);
  return { exitCode, killed: killSent && signal === "SIGKILL", durationMs, stdout, stderr, events, phases };
}

function parseEvent(line: string): CommandEvent | undefined {
  try {
    return JSON.parse(line) as CommandEvent;
  } catch (error) {
    // What a killed process had begun to say, or a message for people.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Exit codes of a command that did what it was asked, with warnings or without. */
export const isDone = (end: CommandEnd): boolean => end.exitCode === 0 || end.exitCode === 3;
