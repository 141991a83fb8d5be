import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { z } from "zod";
import { HoldfastError, systemErrorCode } from "../base/index.ts";
import { buildConfig } from "./build-config.ts";
import type { Config } from "./config.ts";
import { type ConfigDocument, type ConfigProblem, parseConfigDocument } from "./config-document.ts";
import { configSchema } from "./config-schema.ts";
import { crossCheck } from "./cross-check.ts";
import { gatewaySchemas, replicaSchemas, serviceSchemas, type TypedParts } from "./driver-schemas.ts";
import { fileProblem } from "./file-problem.ts";
import { schemaProblems, valueAt } from "./schema-problems.ts";
import { parseTypedPart } from "./typed-parts.ts";

export interface LoadConfigOptions {
  /** Path of holdfast.yaml; relative ones start at the process's folder. */
  readonly file: string;
  /** For `${NAME}`. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Reads and checks the configuration file. @throws HoldfastError CONFIG_INVALID, with all that is wrong at once */
export async function loadConfig(options: LoadConfigOptions): Promise<Config> {
  const file = resolve(options.file);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const missing = systemErrorCode(error) === "ENOENT";
    throw new HoldfastError(
      "CONFIG_INVALID",
      missing ? `There is no configuration file ${file}.` : `${file} cannot be read: ${fileProblem(error)}.`,
      {
        facts: { file },
        ...(missing ? { remedy: "Name it with --config FILE or HOLDFAST_CONFIG, or go to its folder." } : {}),
        cause: error,
      },
    );
  }
  return parseConfig(text, file, options.env);
}

/** The same for text that is already read; `file` is for messages and relative paths. */
export function parseConfig(text: string, file: string, env: LoadConfigOptions["env"]): Config {
  const document = parseConfigDocument(text, env);
  const problems: ConfigProblem[] = [...document.problems];
  if (document.data === undefined) throw configError(file, problems);

  const parsed = configSchema.safeParse(document.data);
  if (!parsed.success) problems.push(...schemaProblems(document, configSchema, parsed.error, []));
  const parts = parseTypedParts(document, problems);
  if (parsed.success) problems.push(...crossCheck(document, parsed.data));
  if (problems.length > 0 || !parsed.success) throw configError(file, problems);
  return buildConfig(parsed.data, parts, { file, directory: dirname(file) });
}

/** Replicas, gateways and services are found in the raw data, so that their errors show beside any other. */
function parseTypedParts(document: ConfigDocument, problems: ConfigProblem[]): TypedParts {
  const parts: TypedParts = { replicas: new Map(), gateways: new Map(), services: new Map() };
  for (const project of keysAt(document, ["projects"])) {
    const projectPath = ["projects", project];
    const replicas = valueAt(document.data, [...projectPath, "repository", "replicas"]);
    for (let index = 0; index < (Array.isArray(replicas) ? replicas.length : 0); index += 1) {
      parse(parts.replicas, [...projectPath, "repository", "replicas", index], replicaSchemas);
    }
    for (const environment of keysAt(document, [...projectPath, "environments"])) {
      const environmentPath = [...projectPath, "environments", environment];
      parse(parts.gateways, [...environmentPath, "gateway"], gatewaySchemas);
      for (const service of keysAt(document, [...environmentPath, "services"])) {
        parse(parts.services, [...environmentPath, "services", service], serviceSchemas);
      }
    }
  }
  return parts;

  function parse<T>(
    into: Map<string, T>,
    path: (string | number)[],
    schemas: Readonly<Record<string, z.ZodType>>,
  ): void {
    const part = parseTypedPart<T>(document, path, schemas, problems);
    if (part !== undefined) into.set(path.join("/"), part);
  }
}

function keysAt(document: ConfigDocument, path: readonly string[]): string[] {
  const value = valueAt(document.data, path);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
}

function configError(file: string, problems: readonly ConfigProblem[]): HoldfastError {
  const sorted = problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  const lines = sorted.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`);
  const [only] = lines;
  const remedies = [...new Set(sorted.flatMap(({ remedy }) => (remedy === undefined ? [] : [remedy])))];
  return new HoldfastError(
    "CONFIG_INVALID",
    lines.length === 1 && only !== undefined
      ? only
      : `The configuration has ${lines.length} errors.\n${lines.map((line) => `  ${line}`).join("\n")}`,
    {
      facts: { file, problems: lines.length, line: sorted[0]?.line ?? 1 },
      ...(remedies.length === 0 ? {} : { remedy: remedies.join("\n") }),
    },
  );
}
