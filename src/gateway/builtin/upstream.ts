import type { Agent, RequestOptions } from "node:http";
import type { Logger } from "../../base/index.ts";
import type { RequestGate } from "./request-gate.ts";

/** What every exchange and tunnel of one proxy shares. */
export interface Upstream {
  readonly gate: RequestGate;
  /** Address, agent and time limit of requests to the application. */
  readonly requestOptions: RequestOptions & { readonly agent: Agent };
  readonly idleTimeoutMs: number;
  readonly forwarded: "append" | "replace";
  readonly drainExclude: readonly string[];
  readonly log: Logger;
  /** The proxy is stopping: clients are told to close their connections. */
  readonly closing: boolean;
}
