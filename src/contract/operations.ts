import type { Operation } from "./operation.ts";
import { environmentOperations } from "./operations/environment-operations.ts";
import { projectOperations } from "./operations/project-operations.ts";
import { serverOperations } from "./operations/server-operations.ts";
import { userOperations } from "./operations/user-operations.ts";

/** Every operation of the API by its name. Of two paths that fit a request the one that comes first here is meant. */
export const operations = {
  ...serverOperations,
  ...userOperations,
  ...projectOperations,
  ...environmentOperations,
} as const satisfies Record<string, Operation>;

export type Operations = typeof operations;
export type OperationName = keyof Operations;
