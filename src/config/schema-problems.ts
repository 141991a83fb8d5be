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
  return error.issues.flatMap((issue) => issueProblems(document, schema, issue, path));
}

function issueProblems(
  document: ConfigDocument,
  schema: z.ZodType,
  issue: z.core.$ZodIssue,
  prefix: ConfigPath,
): ConfigProblem[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(schema, issue.path);
    return issue.keys.map((key) => ({
      ...document.positionOfKey(path, key),
      message: `unknown key "${[...path, key].map(String).join(".")}"${suggestion(key, known)}`,
    }));
  }
  const name = path.map(String).join(".");
  if (issue.code === "invalid_key") {
    const key = String(issue.path.at(-1) ?? "");
    const reason = issue.issues[0]?.message ?? issue.message;
    return [{ ...document.positionOfKey(path.slice(0, -1), key), message: `"${name}": ${reason}` }];
  }
  const position = document.positionOf(path);
  if (issue.code === "invalid_type" && valueAt(document.data, path) === undefined) {
    return [{ ...position, message: name === "" ? "the file is empty" : `missing key "${name}"` }];
  }
  if (issue.code === "invalid_value" && issue.values.length > 1) {
    const given = valueAt(document.data, path);
    const nearest = typeof given === "string" ? nearestKey(given, issue.values.map(String)) : undefined;
    const meant = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
    return [{ ...position, message: `"${name}" must be one of ${issue.values.map(String).join(", ")}${meant}` }];
  }
  return [{ ...position, message: `"${name}": ${issue.message.replace(/^Invalid input: /, "")}` }];
}

/** `; did you mean "path"?`, else the keys that there are. */
export function suggestion(key: string, known: readonly string[]): string {
  const nearest = nearestKey(key, known);
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
