import type { Body, Operation, Operations, Parameters, Query, Result } from "../contract/index.ts";
import type { Caller } from "./caller.ts";
import type { ApiServices } from "./server-facts.ts";

/** A request as handlers see it: checked against the contract, its caller known. */
export interface OperationRequest<O extends Operation> {
  readonly parameters: Parameters<O>;
  readonly query: Query<O>;
  readonly body: Body<O>;
  readonly caller: O["audience"] extends "signed-in" ? Caller : undefined;
  readonly services: ApiServices;
  readonly id: string;
  /** The client's. */
  readonly address: string;
  /** What links that leave the API begin with, such as "https://backups.example.com". */
  readonly origin: string;
  /** Aborted when nobody waits for the answer any more, or the server stops. */
  readonly signal: AbortSignal;
}

export type Handler<O extends Operation> = (request: OperationRequest<O>) => Promise<Result<O>>;

/** A handler for each operation of the contract, or for some of them. */
export type Handlers<Name extends keyof Operations = keyof Operations> = {
  readonly [N in Name]: Handler<Operations[N]>;
};
