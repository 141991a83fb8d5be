import type { Command, Option } from "commander";
import type { GlobalOptions } from "../global-options.ts";
import type { Invocation } from "../offline/session.ts";
import { listProjects, openControlPlane } from "../open-control-plane.ts";
import { planeEnvironment } from "../choose.ts";

/** A completion that takes longer is none. */
const longestMs = 3000;

/** What a word on the command line stands for. */
type Meaning =
  | { readonly kind: "values"; readonly values: readonly string[] }
  | { readonly kind: "projects" | "environments" | "backups" | "activities" };

const nothing: Meaning = { kind: "values", values: [] };

/** The line so far, up to the word that is being typed. */
interface Line {
  readonly command: Command | undefined;
  /** The option whose value comes next. */
  readonly pending: Option | undefined;
  /** Arguments of the command so far. */
  readonly argumentCount: number;
  /** By their long names. */
  readonly values: ReadonlyMap<string, string>;
}

/**
 * What may stand in the place of the last word, from its beginning on. Never throws: what cannot be known is not offered.
 * @param words without the program's name; the last one may be empty
 */
export async function completeWords(
  program: Command,
  words: readonly string[],
  invocation: Omit<Invocation, "options">,
): Promise<readonly string[]> {
  const current = words.at(-1) ?? "";
  const line = parseLine(program, words.slice(0, -1));
  const assigned = /^(--[\w-]+)=/.exec(current);
  const option = assigned === null ? line.pending : findOption(program, line.command, assigned[1] ?? "");
  const before = assigned?.[0] ?? "";
  const meaning = option === undefined ? meaningOfWord(program, line, current) : meaningOfValue(option);
  const found = await valuesOf(meaning, { ...invocation, options: optionsOf(line.values) });
  return [...new Set(found)].map((value) => before + value).filter((value) => value.startsWith(current));
}

function parseLine(program: Command, words: readonly string[]): Line {
  let command: Command | undefined;
  let pending: Option | undefined;
  let argumentCount = 0;
  const values = new Map<string, string>();
  for (const word of words) {
    if (pending !== undefined) {
      values.set(pending.long ?? "", word);
      pending = undefined;
    } else if (word.startsWith("-") && word !== "-") {
      const [name = "", value] = word.split("=", 2);
      const option = findOption(program, command, name);
      if (option === undefined) continue;
      if (value !== undefined) values.set(option.long ?? "", value);
      else if (option.required || option.optional) pending = option;
    } else if (command === undefined) {
      command = program.commands.find((one) => one.name() === word || one.aliases().includes(word));
    } else {
      argumentCount += 1;
    }
  }
  return { command, pending, argumentCount, values };
}

const findOption = (program: Command, command: Command | undefined, name: string): Option | undefined =>
  [...(command?.options ?? []), ...program.options].find(({ long, short }) => long === name || short === name);

function meaningOfWord(program: Command, { command, argumentCount }: Line, current: string): Meaning {
  if (current.startsWith("-")) {
    const options = [...(command?.options ?? []), ...program.options].flatMap(({ long }) =>
      long == null ? [] : [long],
    );
    return { kind: "values", values: [...options, "--help"] };
  }
  if (command === undefined) {
    return { kind: "values", values: [...program.commands.map((one) => one.name()), "help"] };
  }
  const argument = command.registeredArguments[argumentCount];
  if (argument === undefined) return nothing;
  if (argument.argChoices !== undefined) return { kind: "values", values: argument.argChoices };
  if (argument.name() === "environment") return { kind: "environments" };
  if (argument.name() !== "id") return nothing;
  if (command.name().startsWith("backup:")) return { kind: "backups" };
  return command.name().startsWith("activity:") ? { kind: "activities" } : nothing;
}

function meaningOfValue({ long, argChoices }: Option): Meaning {
  if (argChoices !== undefined) return { kind: "values", values: argChoices };
  if (long === "--project") return { kind: "projects" };
  return ["--environment", "--target", "--branch-from"].includes(long ?? "") ? { kind: "environments" } : nothing;
}

function optionsOf(values: ReadonlyMap<string, string>): GlobalOptions {
  const given = (name: "config" | "project" | "environment") => {
    const value = values.get(`--${name}`);
    return value === undefined ? {} : { [name]: value };
  };
  return {
    ...given("config"),
    ...given("project"),
    ...given("environment"),
    yes: false,
    quiet: true,
    verbose: false,
    interaction: false,
  };
}

async function valuesOf(meaning: Meaning, invocation: Invocation): Promise<readonly string[]> {
  if (meaning.kind === "values") return meaning.values;
  const signal = AbortSignal.any([invocation.host.signal, AbortSignal.timeout(longestMs)]);
  try {
    return await askFor(meaning.kind, { ...invocation, host: { ...invocation.host, signal } });
  } catch {
    // Whatever it is, a half-typed line is no place to tell it.
    return [];
  }
}

async function askFor(kind: Exclude<Meaning["kind"], "values">, invocation: Invocation): Promise<readonly string[]> {
  if (kind === "projects") return listProjects(invocation);
  await using plane = await openControlPlane(invocation);
  if (kind === "environments") return (await plane.environments()).map(({ id }) => id);
  if (kind === "backups") {
    const { id: environment } = await planeEnvironment(plane, invocation.options);
    return ["latest", ...(await plane.backups(environment)).map(({ id }) => id)];
  }
  const filter = { environment: undefined, types: [], states: [], result: undefined, before: undefined, limit: 100 };
  return (await plane.activities(filter)).map(({ id }) => id);
}
