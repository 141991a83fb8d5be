import type { z } from "zod";
import { type GatewayConfig, gatewayConfigSchema } from "../gateway/index.ts";
import {
  commandConfigSchema,
  directoryConfigSchema,
  mariadbConfigSchema,
  postgresqlConfigSchema,
  redisConfigSchema,
  sqliteConfigSchema,
} from "../services/index.ts";
import { type ReplicaConfig, replicaSchema } from "./replica-schemas.ts";
import { schemasByType } from "./typed-parts.ts";

/** A kind of service: one line here, and its settings can stand in the file. */
export const serviceSchemas = {
  postgresql: postgresqlConfigSchema,
  mariadb: mariadbConfigSchema,
  redis: redisConfigSchema,
  sqlite: sqliteConfigSchema,
  directory: directoryConfigSchema,
  command: commandConfigSchema,
} as const;

export type ServiceConfig = {
  [Kind in keyof typeof serviceSchemas]: z.output<(typeof serviceSchemas)[Kind]>;
}[keyof typeof serviceSchemas];

export const gatewaySchemas = schemasByType(gatewayConfigSchema);
export const replicaSchemas = schemasByType(replicaSchema);

/** The parsed parts by their place in the file: "projects/shop/environments/main/services/db". */
export interface TypedParts {
  readonly replicas: Map<string, ReplicaConfig>;
  readonly gateways: Map<string, GatewayConfig>;
  readonly services: Map<string, ServiceConfig>;
}

/** Settings of services that are paths, which start at the file's folder. */
export function resolveServicePaths(config: ServiceConfig, absolute: (path: string) => string): ServiceConfig {
  if (config.type === "sqlite" || config.type === "directory") return { ...config, path: absolute(config.path) };
  return config;
}
