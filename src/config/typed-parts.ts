import { z } from "zod";
import type { ConfigDocument, ConfigPath, ConfigProblem } from "./config-document.ts";
import { nearestKey } from "./nearest-key.ts";
import { schemaProblems, valueAt } from "./schema-problems.ts";

/** One schema for each `type`. */
export type SchemasByType = Readonly<Record<string, z.ZodType>>;

/** The schemas of a union whose members have a literal `type`, by that type. */
export function schemasByType(union: { readonly options: readonly z.ZodType[] }): SchemasByType {
  const found: Record<string, z.ZodType> = {};
  for (const option of union.options) {
    const object = option instanceof z.ZodPipe ? option.in : option;
    const type: unknown = object instanceof z.ZodObject ? object.shape["type"] : undefined;
    if (!(type instanceof z.ZodLiteral)) throw new TypeError("a member of this union has no literal type");
    for (const value of type.values) found[String(value)] = option;
  }
  return found;
}

/**
 * Checks the part of the file at `path` with the schema that its `type` names. Returns the parsed part, or undefined
 * after adding to `problems`. A part that is no map at all is left to the schema of the whole file.
 */
export function parseTypedPart<T>(
  document: ConfigDocument,
  path: ConfigPath,
  schemas: SchemasByType,
  problems: ConfigProblem[],
): T | undefined {
  const value = valueAt(document.data, path);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const type: unknown = "type" in value ? value.type : undefined;
  if (typeof type !== "string") return undefined;
  const schema = Object.hasOwn(schemas, type) ? schemas[type] : undefined;
  if (schema === undefined) {
    const nearest = nearestKey(type, Object.keys(schemas));
    problems.push({
      ...document.positionOf([...path, "type"]),
      message:
        `"${path.map(String).join(".")}": unknown type "${type}"` +
        (nearest === undefined ? `; known are ${Object.keys(schemas).join(", ")}` : `; did you mean "${nearest}"?`),
    });
    return undefined;
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data as T;
  problems.push(...schemaProblems(document, schema, parsed.error, path));
  return undefined;
}
