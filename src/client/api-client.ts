import type { IncomingMessage } from "node:http";
import type { z } from "zod";
import { HoldfastError, isHoldfastError, messageOf } from "../base/index.ts";
import {
  type Operation,
  type OperationName,
  operations,
  type Operations,
  type Parameters,
  summaryTrailer,
} from "../contract/index.ts";
import type { AccessTokens } from "./access-tokens.ts";
import { bodyOf, exchange } from "./http-exchange.ts";
import { problemError } from "./problem-error.ts";
import { addressText, type ServerAddress } from "./server-address.ts";

type QueryValue = string | number | boolean | readonly string[] | undefined;

/** What an operation is asked with. */
export type Call<O extends Operation> = {
  readonly parameters: Parameters<O>;
  readonly query?: O["query"] extends z.ZodObject
    ? { readonly [Key in keyof z.input<O["query"]>]?: QueryValue }
    : undefined;
  readonly body?: O["body"] extends z.ZodType ? z.input<O["body"]> : undefined;
};

/** What an operation answers. */
export type Received<O extends Operation> = O["answer"] extends { readonly shape: infer Shape extends z.ZodType }
  ? z.output<Shape>
  : undefined;

type LineOf<O extends Operation> = O["answer"] extends { readonly lines: infer Line extends z.ZodType }
  ? z.output<Line>
  : never;

type SummaryOf<O extends Operation> = O["answer"] extends { readonly summary: infer Summary extends z.ZodType }
  ? z.output<Summary>
  : never;

export interface ApiClientOptions {
  readonly address: ServerAddress;
  /** Undefined where the connection says who asks: on a control socket. */
  readonly tokens?: AccessTokens | undefined;
  /** What to do when there is no token, or none is taken; for people. */
  readonly signInRemedy?: string;
  readonly signal: AbortSignal;
  /** For how long the server may be silent. Default 60 s. */
  readonly silenceMs?: number;
  /** How long the head of an answer to a reading operation may take. Default 15 s. */
  readonly readHeadMs?: number;
}

/**
 * Defaults. What changes something or is streamed out of a repository may take its time before it answers; what only reads
 * answers at once, unless nobody is there.
 */
const defaultSilenceMs = 60_000;
const defaultReadHeadMs = 15_000;

/** So that no server fills our memory: lists of 100,000 backups are smaller. */
const longestAnswerBytes = 256 * 1024 * 1024;
const longestLineBytes = 1024 * 1024;

/** One server's API, operation by operation, as the contract has them. */
export class ApiClient {
  readonly #options: ApiClientOptions;

  constructor(options: ApiClientOptions) {
    this.#options = options;
  }

  get address(): ServerAddress {
    return this.#options.address;
  }

  /**
   * @throws HoldfastError SERVER_UNREACHABLE, SERVER_ANSWER_INVALID, SIGN_IN_REQUIRED, SIGN_IN_FAILED; what the server refuses
   *   with, by its code
   */
  async call<N extends OperationName>(name: N, call: Call<Operations[N]>): Promise<Received<Operations[N]>> {
    const operation: Operation = operations[name];
    const { answer } = operation;
    const response = await this.#send(operation, call);
    const text = await this.#text(response, changes(operation));
    if (!("shape" in answer)) return undefined as Received<Operations[N]>;
    return this.#checked(answer.shape, text) as Received<Operations[N]>;
  }

  /** Lines as they come. Ends when the server ends them. @throws as `call`, also when the connection breaks */
  async *lines<N extends OperationName>(name: N, call: Call<Operations[N]>): AsyncGenerator<LineOf<Operations[N]>> {
    const operation: Operation = operations[name];
    const { answer } = operation;
    if (!("lines" in answer)) throw new TypeError(`${name} answers no lines`);
    const response = await this.#send(operation, call);
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of bodyOf(response, this.address, {
      changes: changes(operation),
      signal: this.#options.signal,
    })) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      if (rest.length > longestLineBytes) throw this.#invalid("a line has no end");
      for (const line of parts) {
        if (line !== "") yield this.#checked(answer.lines, line) as LineOf<Operations[N]>;
      }
    }
  }

  /**
   * Bytes as they come, and once all have come what the server says of them; undefined if a proxy has dropped that.
   * @throws as `call`, also when they end before their end
   */
  async bytes<N extends OperationName>(
    name: N,
    call: Call<Operations[N]>,
  ): Promise<{ readonly bytes: AsyncIterable<Buffer>; readonly summary: () => SummaryOf<Operations[N]> | undefined }> {
    const operation: Operation = operations[name];
    const { answer } = operation;
    if (!("bytes" in answer)) throw new TypeError(`${name} answers no bytes`);
    const response = await this.#send(operation, call);
    return {
      bytes: bodyOf(response, this.address, { changes: changes(operation), signal: this.#options.signal }),
      summary: () => {
        const text = response.trailers[summaryTrailer];
        if (typeof text !== "string") return undefined;
        return this.#checked(answer.summary, Buffer.from(text, "base64").toString()) as SummaryOf<Operations[N]>;
      },
    };
  }

  /**
   * Any request, with this client's token. The answer is handed on as it is, refusals included; read or destroy it.
   * @throws HoldfastError SERVER_UNREACHABLE, SIGN_IN_FAILED
   */
  async raw(request: {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string | undefined;
  }): Promise<{ readonly response: IncomingMessage; readonly body: AsyncIterable<Buffer> }> {
    const response = await this.#authorized(request);
    return {
      response,
      body: bodyOf(response, this.address, { changes: changesByMethod(request), signal: this.#options.signal }),
    };
  }

  async #send(operation: Operation, call: Call<Operation>): Promise<IncomingMessage> {
    const response = await this.#authorized(
      {
        method: operation.method,
        path: pathOf(operation, call),
        headers: { accept: "application/json", "content-type": "application/json" },
        body: call.body === undefined ? undefined : JSON.stringify(call.body),
      },
      { anybody: operation.audience === "anyone", mayChange: changes(operation), headMs: this.#headMs(operation) },
    );
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    const body = await this.#text(response, changes(operation));
    if (status >= 300 && status < 400) {
      throw this.#invalid(`it sends elsewhere, to ${response.headers.location ?? "nowhere"}`);
    }
    const error = problemError(this.address, status, body);
    throw error.code === "SIGN_IN_REQUIRED" ? this.#signInRequired(error) : error;
  }

  /** A token that is not taken is exchanged for another one, once. */
  async #authorized(
    request: {
      readonly method: string;
      readonly path: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string | undefined;
    },
    {
      anybody = false,
      mayChange = changesByMethod(request),
      headMs = this.#options.silenceMs ?? defaultSilenceMs,
    }: { readonly anybody?: boolean; readonly mayChange?: boolean; readonly headMs?: number } = {},
  ): Promise<IncomingMessage> {
    const { address, tokens, signal, silenceMs = defaultSilenceMs } = this.#options;
    const send = (token: string | undefined) =>
      exchange(address, {
        ...request,
        headers: { ...request.headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
        signal,
        silenceMs,
        headMs,
        changes: mayChange,
      });
    if (tokens === undefined || anybody) return send(undefined);
    const token = await tokens.get(signal);
    const answer = await send(token);
    if (answer.statusCode !== 401) return answer;
    answer.destroy();
    return send(await tokens.get(signal, token));
  }

  #headMs(operation: Operation): number {
    const { silenceMs = defaultSilenceMs, readHeadMs = defaultReadHeadMs } = this.#options;
    return !changes(operation) && !("bytes" in operation.answer) ? Math.min(readHeadMs, silenceMs) : silenceMs;
  }

  async #text(response: IncomingMessage, mayChange: boolean): Promise<string> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of bodyOf(response, this.address, { changes: mayChange, signal: this.#options.signal })) {
      length += chunk.length;
      if (length > longestAnswerBytes) throw this.#invalid("the answer is too long");
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  }

  /** What a newer server says on top is taken as it comes; what is missing or of another kind is not. */
  #checked(shape: z.ZodType, text: string): unknown {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw this.#invalid(`it answers something else than JSON (${messageOf(error)})`);
    }
    const { success, data, error } = shape.safeParse(value);
    if (success) return data;
    const issue = error.issues.find(({ code }) => code !== "unrecognized_keys");
    if (issue === undefined) return value;
    throw this.#invalid(`${issue.path.map(String).join(".") || "its answer"}: ${issue.message}`);
  }

  #invalid(why: string): HoldfastError {
    const server = addressText(this.address);
    return new HoldfastError("SERVER_ANSWER_INVALID", `${server} does not answer as a Holdfast server: ${why}.`, {
      facts: { server },
      remedy: "Look whether HOLDFAST_SERVER is the address of a Holdfast server, and at its version.",
    });
  }

  #signInRequired(error: HoldfastError): HoldfastError {
    const remedy = this.#options.signInRemedy ?? error.remedy;
    return new HoldfastError("SIGN_IN_REQUIRED", error.message, {
      facts: error.facts,
      ...(remedy === undefined ? {} : { remedy }),
    });
  }
}

const changesByMethod = ({ method }: { readonly method: string }): boolean => method !== "GET" && method !== "HEAD";

/** A token that was made and never came leaves nothing to look for. */
const changes = (operation: Operation): boolean =>
  operation !== operations.createAccessToken && changesByMethod(operation);

/** Is it a matter of the way to the server, which may be open again the next time? */
export const isPassing = (error: unknown): boolean => isHoldfastError(error, "SERVER_UNREACHABLE");

function pathOf({ path }: Operation, { parameters, query }: Call<Operation>): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = (parameters as Readonly<Record<string, string>>)[name];
    if (value === undefined || value === "") throw new TypeError(`the path ${path} needs "${name}"`);
    return encodeURIComponent(value);
  });
  const pairs = Object.entries((query ?? {}) as Readonly<Record<string, QueryValue>>).flatMap(([name, value]) =>
    value === undefined
      ? []
      : (Array.isArray(value) ? (value as readonly string[]) : [String(value)]).map((one): [string, string] => [
          name,
          one,
        ]),
  );
  return pairs.length === 0 ? filled : `${filled}?${new URLSearchParams(pairs).toString()}`;
}
