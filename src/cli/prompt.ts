import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { HoldfastError, throwIfAborted } from "../base/index.ts";
import type { CliHost } from "./host.ts";
import { type Invocation, say } from "./offline/session.ts";

/** Asks on standard error and reads one line of standard input; undefined at its end. @param hidden what is typed is not shown */
async function ask(host: CliHost, question: string, hidden = false): Promise<string | undefined> {
  throwIfAborted(host.signal);
  const terminal = host.stdin.isTTY === true;
  if (hidden) host.stderr.write(question);
  const output = hidden ? new Writable({ write: (_chunk, _encoding, done) => done() }) : host.stderr;
  const lines = createInterface({ input: host.stdin, output, terminal });
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
      // A last line without an end is no answer to a question for readline.
      lines.once("line", resolve);
      lines.once("close", () => resolve(undefined));
      lines.question(hidden ? "" : question, resolve);
    });
  } finally {
    lines.close();
    if (hidden && terminal) host.stderr.write("\n");
  }
}

/** A secret: typed without being shown, or the first line of standard input. Never from the command line, which others can see. */
export async function askSecret(invocation: Invocation, question: string): Promise<string> {
  const { host, options } = invocation;
  const terminal = host.stdin.isTTY === true;
  const given = terminal && !options.interaction ? undefined : await ask(host, terminal ? question : "", true);
  if (given !== undefined && given.trim() !== "") return given.replace(/\r$/, "");
  throw new HoldfastError("INPUT_INVALID", "There is no secret on standard input, and nobody to ask.", {
    remedy: "Type it at a terminal, or send it as the first line of standard input.",
  });
}

/** A line that somebody types. @param option where to give it when there is nobody to ask */
export async function askText(invocation: Invocation, question: string, option: string): Promise<string> {
  const given = canAsk(invocation) ? await ask(invocation.host, question) : undefined;
  if (given !== undefined && given.trim() !== "") return given.trim();
  throw new HoldfastError("INPUT_INVALID", `This needs ${option}, and there is nobody to ask.`);
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
