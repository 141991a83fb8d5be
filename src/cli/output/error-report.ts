import { HoldfastError, messageOf } from "../../base/index.ts";
import { roundMilliseconds } from "./machine-numbers.ts";
import { printable } from "./printable.ts";

/** Everything thrown becomes a HoldfastError; what is none is a defect. */
export function toHoldfastError(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  return new HoldfastError("INTERNAL", `Something unexpected happened: ${messageOf(error)}`, {
    cause: error,
    remedy: "This is a defect in Holdfast. Run it again with --verbose for the details, and report it.",
  });
}

const printableLines = (text: string): string[] => text.split("\n").map(printable);

/** The error as a person reads it: message, remedy indented, `[CODE, exit N]`. Ends in a newline. */
export function renderError(
  error: HoldfastError,
  options: { readonly colour: boolean; readonly verbose: boolean },
): string {
  const [first = "", ...more] = printableLines(error.message);
  const lines = [`holdfast: ${first}`, ...more.map((line) => (line.startsWith(" ") ? line : `  ${line}`))];
  if (error.remedy !== undefined) lines.push(...printableLines(error.remedy).map((line) => `  ${line}`));
  const code = `[${error.code}, exit ${error.info.exit}]`;
  lines[lines.length - 1] += `   ${options.colour ? `\u001b[2m${code}\u001b[22m` : code}`;
  if (options.colour) lines[0] = `\u001b[31mholdfast:\u001b[39m${lines[0]?.slice("holdfast:".length) ?? ""}`;
  if (options.verbose) {
    for (const [name, value] of Object.entries(error.facts)) lines.push(`  ${name}: ${printable(String(value))}`);
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
      lines.push(...printableLines(cause.stack ?? cause.message).map((line) => `    ${line}`));
    }
  }
  return `${lines.join("\n")}\n`;
}

/** The same as one line of JSON, for `--format json`. */
export function errorEvent(error: HoldfastError): Record<string, unknown> {
  return roundMilliseconds({
    type: "error",
    code: error.code,
    message: error.message,
    remedy: error.remedy ?? null,
    facts: error.facts,
    exit: error.info.exit,
  });
}
