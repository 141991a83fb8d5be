// The configuration file holdfast.yaml: read, checked, with every error named by line and column. It knows the shapes of
// drivers' settings, and opens nothing that they name.
export type {
  ApplicationConfig,
  Config,
  EnvironmentConfig,
  HooksConfig,
  NamedServiceConfig,
  PasswordSource,
  ProjectConfig,
  RepositoryConfig,
  ServerConfig,
} from "./config.ts";
export type { ServiceConfig } from "./driver-schemas.ts";
export { fileProblem } from "./file-problem.ts";
export { loadConfig, type LoadConfigOptions, parseConfig } from "./load-config.ts";
export type { ReplicaConfig } from "./replica-schemas.ts";
