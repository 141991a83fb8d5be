import { z } from "zod";
import type { Answer, Operation } from "./operation.ts";
import { operations } from "./operations.ts";
import { problem } from "./shapes/problem.ts";
import { namedShapes } from "./shapes/shape.ts";

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document of the API. */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const [name, operation] of Object.entries<Operation>(operations)) {
    (paths[operation.path] ??= {})[operation.method.toLowerCase()] = operationObject(name, operation);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Holdfast",
      version,
      description:
        "Backups of whole application environments. Paths, shapes and HAL links are those of Upsun's API as far as it goes.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ accessToken: [] }],
    paths,
    components: {
      schemas: componentSchemas(),
      securitySchemes: {
        accessToken: { type: "http", scheme: "bearer", description: "From /oauth2/token; valid for 15 minutes." },
      },
    },
  };
}

function operationObject(name: string, operation: Operation): Json {
  const { path, query, body, form, audience, answer, summary, tag } = operation;
  const parameters = [
    ...Array.from(path.matchAll(/\{(\w+)\}/g), ([, parameter]) => ({
      name: parameter,
      in: "path",
      required: true,
      schema: { type: "string" },
    })),
    ...(query === undefined ? [] : queryParameters(query)),
  ];
  const content = body === undefined ? undefined : { schema: reference(body) };
  return {
    operationId: name,
    summary,
    tags: [tag],
    ...(audience === "anyone" ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(content === undefined
      ? {}
      : {
          requestBody: {
            required: false,
            content: {
              "application/json": content,
              ...(form === true ? { "application/x-www-form-urlencoded": content } : {}),
            },
          },
        }),
    responses: {
      [answer.status]: answerObject(answer),
      default: {
        description: "Refused or failed",
        content: { "application/json": { schema: reference(problem) } },
      },
    },
  };
}

function queryParameters(query: z.ZodObject): Json[] {
  const { properties = {} } = z.toJSONSchema(query, { io: "input" }) as { properties?: Record<string, Json> };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    // What is coerced from text has no type of its own in the shape.
    schema,
  }));
}

function answerObject(answer: Answer): Json {
  const description = "Done";
  if ("shape" in answer) return { description, content: { "application/json": { schema: reference(answer.shape) } } };
  if ("lines" in answer) {
    return {
      description: "One line of JSON each",
      content: { "application/x-ndjson": { schema: reference(answer.lines) } },
    };
  }
  if ("bytes" in answer) {
    return { description, content: { [answer.bytes]: { schema: { type: "string", format: "binary" } } } };
  }
  if ("text" in answer) {
    const schema = answer.text === "application/json" ? { type: "object" } : { type: "string" };
    return { description, content: { [answer.text]: { schema } } };
  }
  return { description };
}

const referenceTo = (id: string): string => `#/components/schemas/${id}`;

/** Shapes of bodies and answers all have names. */
function reference(shape: z.ZodType): Json {
  const meta = namedShapes.get(shape);
  if (meta === undefined) throw new TypeError("a shape of the contract has no name");
  return { $ref: referenceTo(meta.id) };
}

function componentSchemas(): Record<string, Json> {
  const { schemas } = z.toJSONSchema(namedShapes, { uri: referenceTo }) as { schemas: Record<string, Json> };
  for (const schema of Object.values(schemas)) {
    // The document has its own dialect, and a component is found by its name.
    delete schema["$schema"];
    delete schema["$id"];
  }
  return Object.fromEntries(Object.entries(schemas).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
