import { createInterface } from "node:readline";
import { HoldfastError, throwIfAborted } from "../base/index.ts";
import type { CliHost } from "./host.ts";
import { type Invocation, say } from "./offline/session.ts";

/** Asks on standard error and reads one line of standard input; undefined at its end. */
async function ask(host: CliHost, question: string): Promise<string | undefined> {
  throwIfAborted(host.signal);
  const lines = createInterface({ input: host.stdin, output: host.stderr, terminal: host.stdin.isTTY === true });
  try {
    return await new Promise<string | undefined>((resolve, reject) => {
      const interrupted = (): void => {
        // The question's line is still open.
        host.stderr.write("\n");
        reject(
          host.signal.reason instanceof HoldfastError
            ? host.signal.reason
            : new HoldfastError("INTERRUPTED", "Interrupted before anything was done."),
        );
      };
      host.signal.addEventListener("abort", interrupted, { once: true });
      // In raw mode Ctrl-C arrives here as a key, not as a signal.
      lines.once("SIGINT", interrupted);
      lines.once("close", () => resolve(undefined));
      lines.question(question, resolve);
    });
  } finally {
    lines.close();
  }
}

const canAsk = ({ host, options }: Invocation): boolean =>
  host.stdin.isTTY === true && options.interaction && !options.quiet;

const nobodyToAsk = (): HoldfastError =>
  new HoldfastError("INPUT_INVALID", "Nothing was done: this needs a confirmation, and there is nobody to ask.", {
    remedy: "To go on without one, use --yes (-y).",
  });

/** "Are you sure you want to continue? [Y/n]". @throws HoldfastError INPUT_INVALID without a terminal and without --yes */
export async function confirm(invocation: Invocation, question: string): Promise<boolean> {
  if (invocation.options.yes) return true;
  if (!canAsk(invocation)) throw nobodyToAsk();
  for (;;) {
    const answer = await ask(invocation.host, `${question} [Y/n] `);
    if (answer === undefined) return false;
    if (/^\s*(y|yes)?\s*$/i.test(answer)) return true;
    if (/^\s*(n|no)\s*$/i.test(answer)) return false;
  }
}

/**
 * For what cannot be taken back: the person types `expected`.
 * @throws HoldfastError INPUT_INVALID without a terminal and without --yes
 */
export async function confirmByTyping(invocation: Invocation, question: string, expected: string): Promise<boolean> {
  if (invocation.options.yes) return true;
  if (!canAsk(invocation)) throw nobodyToAsk();
  const answer = await ask(invocation.host, `${question} `);
  if (answer?.trim() === expected) return true;
  say(invocation, "That is not its name. Nothing was done.");
  return false;
}
