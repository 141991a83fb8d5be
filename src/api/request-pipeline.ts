import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import { HoldfastError, isHoldfastError, messageOf } from "../base/index.ts";
import type { User } from "../control/index.ts";
import { type Operation, type OperationName, operations } from "../contract/index.ts";
import { Caller } from "./caller.ts";
import { activityHandlers } from "./handlers/activity-handlers.ts";
import { backupHandlers } from "./handlers/backup-handlers.ts";
import { environmentHandlers } from "./handlers/environment-handlers.ts";
import { projectHandlers } from "./handlers/project-handlers.ts";
import { serverHandlers } from "./handlers/server-handlers.ts";
import { userHandlers } from "./handlers/user-handlers.ts";
import { writeAnswer, writeJson } from "./http/answer.ts";
import type { TrustedProxies } from "./http/client-address.ts";
import { ServerMetrics } from "./http/metrics.ts";
import { problemResponse, wrongInput } from "./http/problem-response.ts";
import { parseBody, parseQuery, readBody } from "./http/request-body.ts";
import { Router } from "./http/router.ts";
import type { Handler, Handlers, OperationRequest } from "./operation-handlers.ts";
import type { ApiServices } from "./server-facts.ts";
import { setupPageHeaders } from "./setup-page.ts";
import { SignIn } from "./sign-in.ts";

export interface PipelineOptions {
  readonly proxies: TrustedProxies;
  readonly origin: string;
  /** Aborted when the server stops: nobody waits for a log any longer. */
  readonly stopping: AbortSignal;
}

/** What is known of a request so far; for its log line and its metrics. */
interface Progress {
  readonly id: string;
  /** "local" on the control socket. */
  readonly address: string;
  /** Who asks on the control socket. */
  readonly owner: User | undefined;
  operation: OperationName | "unknown";
  user: User | undefined;
}

/** From a request to its answer: find the operation, know the caller, check the input, handle, answer, note it. */
export class RequestPipeline {
  readonly #services: ApiServices;
  readonly #options: PipelineOptions;
  readonly #router = new Router<OperationName>(operations);
  readonly #metrics = new ServerMetrics();
  readonly #handlers: Handlers;

  constructor(services: ApiServices, options: PipelineOptions) {
    this.#services = services;
    this.#options = options;
    this.#handlers = {
      ...serverHandlers(this.#metrics, new SignIn(services.clock, this.#metrics)),
      ...userHandlers,
      ...projectHandlers,
      ...environmentHandlers,
      ...backupHandlers,
      ...activityHandlers,
    };
  }

  /** Never rejects. @param owner who asks, where the connection says that already */
  async serve(request: IncomingMessage, response: ServerResponse, owner?: User): Promise<void> {
    const { clock } = this.#services;
    const startMs = clock.monotonicMs();
    const progress: Progress = {
      id: requestIdOf(request, this.#options.proxies),
      address:
        owner === undefined
          ? this.#options.proxies.clientAddress(
              request.socket.remoteAddress,
              request.headers["x-forwarded-for"]?.toString(),
            )
          : "local",
      owner,
      operation: "unknown",
      user: undefined,
    };
    response.setHeader("x-request-id", progress.id);
    this.#metrics.requestStarted();
    response.once("close", () => this.#note(request, response, progress, clock.monotonicMs() - startMs));
    try {
      await this.#answer(request, response, progress);
    } catch (error) {
      this.#fail(response, error, progress);
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse, progress: Progress): Promise<void> {
    const [path = "", query = ""] = splitOnce(request.url ?? "", "?");
    const { name, parameters } = this.#router.match(request.method ?? "", path);
    progress.operation = name;
    const operation: Operation = operations[name];
    const caller = operation.audience === "anyone" ? undefined : await this.#caller(request, progress);
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const given = {
      parameters,
      query: operation.query === undefined ? undefined : checked("query", operation.query, parseQuery(query)),
      body: await bodyOf(request, operation),
      caller,
      services: this.#services,
      id: progress.id,
      address: progress.address,
      origin: this.#options.origin,
      signal: AbortSignal.any([gone.signal, this.#options.stopping]),
    } as OperationRequest<Operation>;
    const handler = this.#handlers[name] as unknown as Handler<Operation>;
    const result = await handler(given);
    await writeAnswer(response, operation.answer, result, name === "getSetupPage" ? setupPageHeaders : {});
  }

  /** @throws HoldfastError SIGN_IN_REQUIRED */
  async #caller(request: IncomingMessage, progress: Progress): Promise<Caller> {
    const token = /^Bearer +([\w.~+/-]+=*)$/i.exec(request.headers.authorization ?? "")?.[1];
    const { catalog } = this.#services;
    if (progress.owner !== undefined && request.headers.authorization === undefined) {
      progress.user = progress.owner;
      return new Caller({ user: progress.owner, session: undefined }, catalog, {
        address: null,
        requestId: progress.id,
      });
    }
    const signedIn = token === undefined ? undefined : await catalog.access.sessions.authenticate(token);
    if (signedIn === undefined) {
      throw new HoldfastError(
        "SIGN_IN_REQUIRED",
        token === undefined ? "The request has no access token." : "The access token is not valid, or no longer.",
        { remedy: "Exchange an API token for an access token at /oauth2/token." },
      );
    }
    progress.user = signedIn.user;
    return new Caller(signedIn, catalog, { address: progress.address, requestId: progress.id });
  }

  #fail(response: ServerResponse, error: unknown, { id, operation, owner }: Progress): void {
    const { status, headers, body } = problemResponse(error, id, {
      oauth: operation === "createAccessToken",
      // Who may read the server's log is told what stands in it.
      showFailures: owner !== undefined,
    });
    if (status >= 500 && !response.destroyed) {
      this.#services.log.error(`A request failed: ${messageOf(error)}`, {
        request: id,
        operation,
        code: isHoldfastError(error) ? error.code : "INTERNAL",
        stack: error instanceof Error ? (error.stack ?? "") : "",
      });
    }
    // Nobody is there any more, or a part of the answer is on its way.
    if (response.headersSent || response.destroyed) response.destroy();
    else writeJson(response, status, body, headers);
  }

  #note(request: IncomingMessage, response: ServerResponse, progress: Progress, durationMs: number): void {
    const { id, address, operation, user } = progress;
    const status = response.headersSent ? response.statusCode : 499;
    this.#metrics.requestEnded(operation, status, durationMs);
    this.#services.log.info("request", {
      request: id,
      address,
      method: request.method ?? "",
      // Without the query.
      path: (request.url ?? "").replace(/\?.*/s, "").slice(0, 500),
      operation,
      status,
      durationMs: Math.round(durationMs * 10) / 10,
      user: user?.email ?? null,
    });
  }
}

/** Of a proxy that is trusted, if it looks like an id; else a new one, so that nobody writes into the audit trail what they like. */
function requestIdOf(request: IncomingMessage, proxies: TrustedProxies): string {
  if (!proxies.has(request.socket.remoteAddress)) return randomUUID();
  const given = request.headers["x-request-id"]?.toString() ?? "";
  return /^[\w.-]{8,100}$/.test(given) ? given : randomUUID();
}

async function bodyOf(request: IncomingMessage, operation: Operation): Promise<unknown> {
  if (operation.body === undefined) return undefined;
  const body = parseBody(await readBody(request), operation.form === true);
  return checked("body", operation.body, body);
}

/** @throws HoldfastError INPUT_INVALID that names everything that is wrong */
function checked(what: "body" | "query", shape: z.ZodType, value: unknown): unknown {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  throw wrongInput(
    what,
    parsed.error.issues.slice(0, 20).map((issue) => ({
      path: issue.path.map(String).join(".").slice(0, 200),
      message: issue.message.slice(0, 300),
    })),
  );
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
