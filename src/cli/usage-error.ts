import type { Command, CommanderError } from "commander";
import { HoldfastError } from "../base/index.ts";

/** A command line that commander refuses (an unknown command, a missing argument), in the form of all other errors. */
export function usageError(error: CommanderError, program: Command, argv: readonly string[]): HoldfastError {
  const [what = "", ...more] = error.message.replace(/^error: /, "").split("\n");
  const sentence = /[.?!]$/.test(what) ? what : `${what}.`;
  const command = namedCommand(program, argv);
  return new HoldfastError("INPUT_INVALID", sentence, {
    remedy: [...more, `See holdfast ${command === undefined ? "" : `${command} `}--help`].join(" ").trim(),
    cause: error,
  });
}

function namedCommand(program: Command, argv: readonly string[]): string | undefined {
  for (const word of argv) {
    const found = program.commands.find((command) => command.name() === word || command.aliases().includes(word));
    if (found !== undefined) return found.name();
  }
  return undefined;
}

/** Of a command line that could not be parsed; so a program that asked for JSON gets its error as JSON, too. */
export const asksForJson = (argv: readonly string[]): boolean =>
  argv.some((word, at) => word === "--format=json" || (word === "--format" && argv[at + 1] === "json"));
