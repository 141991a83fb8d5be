import { createRequire } from "node:module";
import { type Operation, type OperationName, operations, openApiDocument } from "../../contract/index.ts";

interface Validate {
  (value: unknown): boolean;
  readonly errors?:
    readonly { readonly instancePath: string; readonly message?: string; readonly params: unknown }[] | null;
}

interface SchemaChecker {
  addSchema(schema: unknown, id: string): void;
  compile(schema: unknown): Validate;
}

const require = createRequire(import.meta.url);
const { Ajv2020 } = require("ajv/dist/2020.js") as {
  readonly Ajv2020: new (options: { readonly strict: boolean; readonly allErrors: boolean }) => SchemaChecker;
};
const addFormats = require("ajv-formats") as (checker: SchemaChecker) => void;

const checker = new Ajv2020({ strict: false, allErrors: true });
addFormats(checker);

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

interface OperationObject {
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: unknown }>> };
  readonly responses: Readonly<Record<string, ResponseObject>>;
}

interface ResponseObject {
  readonly content?: Readonly<Record<string, { readonly schema: unknown }>>;
}

/** The document as it is served. */
export const document = JSON.parse(JSON.stringify(openApiDocument("0.0.0"))) as Document;
checker.addSchema(document, "api");

const compiled = new Map<string, Validate>();

/**
 * What is wrong with an answer by the OpenAPI document alone, another library's reading of it. Empty if nothing is.
 * @param type the answer's Content-Type
 */
export function answerProblems(name: OperationName, status: number, type: string, body: string): readonly string[] {
  const operation: Operation = operations[name];
  const { responses } = document.paths[operation.path]?.[operation.method.toLowerCase()] ?? { responses: {} };
  const isProblem = responses[status] === undefined;
  const response = responses[status] ?? responses["default"];
  if (response === undefined) return [`${name} has no answer ${status}`];
  if (response.content === undefined) return body === "" ? [] : [`${name} ${status} has a body`];
  const mediaType = type.replace(/;.*/, "");
  const schema = response.content[mediaType]?.schema;
  if (schema === undefined) return [`${name} ${status} is ${mediaType}`];
  if (mediaType.startsWith("text/") || mediaType === "application/x-tar") return [];
  const pointer = [
    "paths",
    operation.path,
    operation.method.toLowerCase(),
    "responses",
    isProblem ? "default" : String(status),
    "content",
    mediaType,
    "schema",
  ]
    .map((step) => encodeURIComponent(step.replaceAll("~", "~0").replaceAll("/", "~1")))
    .join("/");
  let validate = compiled.get(pointer);
  if (validate === undefined) {
    validate = checker.compile({ $ref: `api#/${pointer}` });
    compiled.set(pointer, validate);
  }
  const values = mediaType === "application/x-ndjson" ? body.split("\n").filter((line) => line !== "") : [body];
  return values.flatMap((text) => {
    if (validate(JSON.parse(text))) return [];
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${name} ${status}${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  });
}
