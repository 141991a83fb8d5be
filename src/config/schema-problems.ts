import { z } from "zod";
import type { ConfigDocument, ConfigPath, ConfigProblem } from "./config-document.ts";
import { nearestKey } from "./nearest-key.ts";

/** What a schema finds wrong with the part of the file at `path`, in a person's words and with positions. */
export function schemaProblems(
  document: ConfigDocument,
  schema: z.ZodType,
  error: z.ZodError,
  path: ConfigPath,
): ConfigProblem[] {
  const mistyped = mistypedKeys(document, schema, error.issues, path);
  return error.issues
    .filter((issue) => !(isMissing(document, issue, path) && mistyped.has(keyText([...path, ...issue.path]))))
    .flatMap((issue) => issueProblems(document, schema, issue, path));
}

const keyText = (path: ConfigPath): string => JSON.stringify(path.map(String));

/** The known keys that unknown ones most likely mean: they are not told as missing, too. */
function mistypedKeys(
  document: ConfigDocument,
  schema: z.ZodType,
  issues: readonly z.core.$ZodIssue[],
  prefix: ConfigPath,
): ReadonlySet<string> {
  const meant = new Set<string>();
  for (const issue of issues) {
    if (issue.code !== "unrecognized_keys") continue;
    const path = [...prefix, ...issue.path];
    for (const key of issue.keys) {
      const nearest = nearestKey(key, absentKeys(document, path, knownKeys(schema, issue.path)));
      if (nearest !== undefined) meant.add(keyText([...path, nearest]));
    }
  }
  return meant;
}

/** Nobody means a key that is there already. */
const absentKeys = (document: ConfigDocument, path: ConfigPath, known: readonly string[]): string[] =>
  known.filter((key) => valueAt(document.data, [...path, key]) === undefined);

const isMissing = (document: ConfigDocument, issue: z.core.$ZodIssue, prefix: ConfigPath): boolean =>
  (issue.code === "invalid_type" || issue.code === "invalid_value") &&
  valueAt(document.data, [...prefix, ...issue.path]) === undefined;

function issueProblems(
  document: ConfigDocument,
  schema: z.ZodType,
  issue: z.core.$ZodIssue,
  prefix: ConfigPath,
): ConfigProblem[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(schema, issue.path);
    const absent = absentKeys(document, path, known);
    return issue.keys.map((key) => ({
      ...document.positionOfKey(path, key),
      message: `unknown key "${[...path, key].map(String).join(".")}"${suggestion(key, known, absent)}`,
    }));
  }
  const name = path.map(String).join(".");
  if (issue.code === "invalid_key") {
    const key = String(issue.path.at(-1) ?? "");
    const reason = issue.issues[0]?.message ?? issue.message;
    return [{ ...document.positionOfKey(path.slice(0, -1), key), message: `"${name}": ${reason}` }];
  }
  const position = document.positionOf(path);
  if (isMissing(document, issue, prefix)) {
    return [missingProblem(document, path, position)];
  }
  if (issue.code === "invalid_value" && issue.values.length > 1) {
    const given = valueAt(document.data, path);
    const nearest = typeof given === "string" ? nearestKey(given, issue.values.map(String)) : undefined;
    const meant = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
    return [{ ...position, message: `"${name}" must be one of ${issue.values.map(String).join(", ")}${meant}` }];
  }
  const subject = name === "" ? "the file" : `"${name}"`;
  const wrong = plainWords(issue);
  return [{ ...position, message: wrong === undefined ? `${subject}: ${issue.message}` : `${subject} ${wrong}` }];
}

/** A key that is nearly "type" is that: the map's other keys cannot be known without it. */
function missingProblem(
  document: ConfigDocument,
  path: ConfigPath,
  position: { readonly line: number; readonly column: number },
): ConfigProblem {
  const name = path.map(String).join(".");
  const parent = valueAt(document.data, path.slice(0, -1));
  if (path.at(-1) === "type" && typeof parent === "object" && parent !== null) {
    const mistyped = Object.keys(parent).find((key) => nearestKey(key, ["type"]) !== undefined);
    if (mistyped !== undefined) {
      return {
        ...document.positionOfKey(path.slice(0, -1), mistyped),
        message: `unknown key "${[...path.slice(0, -1), mistyped].map(String).join(".")}"; did you mean "type"?`,
      };
    }
  }
  return { ...position, message: name === "" ? "the file is empty" : `missing key "${name}"` };
}

const typeWords: Readonly<Record<string, string>> = {
  array: "must be a list",
  boolean: "must be true or false",
  int: "must be a whole number",
  number: "must be a number",
  object: 'must be a list of settings, each as "key: value"',
  record: "must be a list of names with settings",
  string: "must be a text",
};

/** What the value must be; undefined for messages that are our own words already. */
function plainWords(issue: z.core.$ZodIssue): string | undefined {
  if (!/^(?:Invalid input|Invalid option|Too small|Too big)/.test(issue.message)) return undefined;
  if (issue.code === "invalid_type") return typeWords[issue.expected] ?? `must be a ${issue.expected}`;
  if (issue.code === "invalid_value") return `must be ${issue.values.map(String).join(" or ")}`;
  if (issue.code === "too_small") {
    return issue.origin === "string" || issue.origin === "array"
      ? "must not be empty"
      : `must be at least ${issue.minimum}`;
  }
  if (issue.code === "too_big") return `must be at most ${issue.maximum}`;
  return "has a form that is not known here";
}

/** `; did you mean "path"?`, else the keys that there are. */
export function suggestion(key: string, known: readonly string[], likely: readonly string[] = known): string {
  const nearest = nearestKey(key, likely) ?? nearestKey(key, known);
  if (nearest !== undefined) return `; did you mean "${nearest}"?`;
  return known.length === 0 ? "" : `; known are ${known.join(", ")}`;
}

/** The value at a path of plain data; undefined if there is none. */
export function valueAt(data: unknown, path: ConfigPath): unknown {
  let value = data;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}

function knownKeys(schema: z.ZodType, path: ConfigPath): string[] {
  const [step, ...rest] = path;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable) {
    return knownKeys(schema.unwrap() as z.ZodType, path);
  }
  if (schema instanceof z.ZodPipe) return knownKeys(schema.in as z.ZodType, path);
  if (schema instanceof z.ZodUnion) {
    return [...new Set(schema.options.flatMap((option) => knownKeys(option as z.ZodType, path)))];
  }
  if (schema instanceof z.ZodObject) {
    const shape = schema.shape as Record<string, z.ZodType>;
    if (step === undefined) return Object.keys(shape);
    const child = shape[String(step)];
    return child === undefined ? [] : knownKeys(child, rest);
  }
  if (schema instanceof z.ZodRecord && step !== undefined) return knownKeys(schema.valueType as z.ZodType, rest);
  if (schema instanceof z.ZodArray && step !== undefined) return knownKeys(schema.element as z.ZodType, rest);
  return [];
}
