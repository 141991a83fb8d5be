import type { z } from "zod";

export type Method = "GET" | "POST" | "PATCH" | "DELETE";

/** Who may ask at all. What they may do beyond that is up to their roles. */
export type Audience =
  /** Needs no access token. */
  | "anyone"
  /** Anybody who is signed in. */
  | "signed-in";

/** What is answered when all went well. */
export type Answer =
  | { readonly status: 200 | 201; readonly shape: z.ZodType }
  /** Text of another kind; `lines` are JSON each, and may come while they are made. */
  | { readonly status: 200; readonly text: "text/plain" | "text/html" | "application/json" }
  | { readonly status: 200; readonly lines: z.ZodType }
  /** Any number of bytes, as they are made. How it went stands in the trailer that `summary` describes. */
  | { readonly status: 200; readonly bytes: "application/x-tar"; readonly summary: z.ZodType }
  | { readonly status: 204 };

/** One method of one path: the contract between the server and its clients. */
export interface Operation {
  /** "/projects/{project}/settings"; `environment` may hold slashes, sent as they are or encoded. */
  readonly path: string;
  readonly method: Method;
  readonly summary: string;
  readonly tag: "server" | "sign-in" | "users" | "projects" | "access" | "environments" | "backups" | "activities";
  readonly audience: Audience;
  /** Every value is a list of texts or a text. Clients send queries of their own on top, which are ignored. */
  readonly query?: z.ZodObject;
  /** JSON, whatever the request's Content-Type says; none is taken for `{}`. Without a shape a body is ignored. */
  readonly body?: z.ZodType;
  /** The body may also be a form. */
  readonly form?: true;
  readonly answer: Answer;
}

type ParameterNames<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | ParameterNames<Rest>
  : never;

/** The values of a path's parameters, decoded. */
export type Parameters<O extends Operation> = { readonly [Name in ParameterNames<O["path"]>]: string };

export type Query<O extends Operation> = O["query"] extends z.ZodObject ? z.output<O["query"]> : undefined;

export type Body<O extends Operation> = O["body"] extends z.ZodType ? z.output<O["body"]> : undefined;

/** What a handler hands back for the answer. */
export type Result<O extends Operation> = O["answer"] extends { readonly shape: infer Shape extends z.ZodType }
  ? z.input<Shape>
  : O["answer"] extends { readonly text: string }
    ? string
    : O["answer"] extends { readonly lines: infer Line extends z.ZodType }
      ? AsyncIterable<z.input<Line>>
      : O["answer"] extends { readonly bytes: string; readonly summary: infer Summary extends z.ZodType }
        ? { readonly bytes: AsyncIterable<Uint8Array>; readonly summary: () => z.input<Summary> }
        : undefined;

/** The trailer behind bytes: their summary as JSON in base64. */
export const summaryTrailer = "x-holdfast-summary";
