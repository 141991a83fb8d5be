// The contract of the API: shapes of bodies and answers, operations with their paths, and the OpenAPI document made of them.
// Terms: operation (one method of one path), shape (a schema), link (HAL). It knows no server and runs in browsers, too.
export { openApiDocument } from "./openapi.ts";
export type { Answer, Body, Method, Operation, Parameters, Query, Result } from "./operation.ts";
export { summaryTrailer } from "./operation.ts";
export { type OperationName, operations, type Operations } from "./operations.ts";
export type { environmentOperations } from "./operations/environment-operations.ts";
export type { projectOperations } from "./operations/project-operations.ts";
export type { serverOperations } from "./operations/server-operations.ts";
export type { userOperations } from "./operations/user-operations.ts";
export type { RestoreInput } from "./shapes/backup.ts";
export type { Problem } from "./shapes/problem.ts";
export type { DataRetention, ProjectSettingsPatch, RetentionPatch } from "./shapes/settings.ts";
