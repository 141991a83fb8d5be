import type { EnvironmentId, ProjectId } from "../base/index.ts";
import type { ProfileName } from "../control/index.ts";
import type { GatewayConfig } from "../gateway/index.ts";
import type { ServiceConfig } from "./driver-schemas.ts";
import type { ReplicaConfig } from "./replica-schemas.ts";

/** holdfast.yaml, checked: every path absolute, every default filled in. */
export interface Config {
  /** Absolute path of the file. */
  readonly file: string;
  /** Folder for catalog, journals, caches and control sockets. */
  readonly stateDirectory: string;
  readonly server: ServerConfig;
  readonly projects: readonly ProjectConfig[];
}

export interface ServerConfig {
  /** Where `holdfast serve` listens; port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** A PostgreSQL URL; undefined for the file in the state folder. */
  readonly catalog: string | undefined;
  /** What clients reach the server by, if that is not where it listens. */
  readonly publicUrl: string | undefined;
  /** Absolute paths of PEM files; undefined for plain HTTP. */
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | undefined;
  /** How long an activity is kept after its end. */
  readonly keepActivitiesMs: number;
  /** Proxies whose X-Forwarded-For is believed: addresses and networks. */
  readonly trustedProxies: readonly string[];
}

export interface ProjectConfig {
  readonly id: ProjectId;
  readonly title: string;
  readonly profile: ProfileName;
  readonly repository: RepositoryConfig;
  readonly environments: readonly EnvironmentConfig[];
}

/** Where the repository's password comes from; never the password itself. */
export type PasswordSource =
  /** The first line of a file. */
  | { readonly kind: "file"; readonly file: string }
  /** The first line that a command prints; an argument vector. */
  | { readonly kind: "command"; readonly command: readonly string[] }
  /** The value of an environment variable. */
  | { readonly kind: "variable"; readonly name: string };

export interface RepositoryConfig {
  readonly password: PasswordSource;
  /** Each backup is read back from the storage and verified before it counts as done. */
  readonly verifyWrites: boolean;
  /** Replicas that must hold a backup before it counts as done. */
  readonly required: number;
  readonly replicas: readonly ReplicaConfig[];
}

export interface EnvironmentConfig {
  readonly id: EnvironmentId;
  readonly title: string;
  readonly type: "production" | "staging" | "development";
  /** The first status; the catalog has it from then on. */
  readonly initialStatus: "active" | "inactive" | "paused";
  readonly parent: EnvironmentId | undefined;
  readonly gateway: GatewayConfig | undefined;
  readonly applications: readonly ApplicationConfig[];
  readonly services: readonly NamedServiceConfig[];
  readonly hooks: HooksConfig;
}

export interface ApplicationConfig {
  readonly name: string;
  /** Deployed folder; undefined if the application's code is not backed up. */
  readonly code: string | undefined;
  readonly mounts: readonly { readonly name: string; readonly path: string }[];
  /** Patterns, relative to the deployed folder, of what no backup holds. */
  readonly exclude: readonly string[];
}

export interface NamedServiceConfig {
  readonly name: string;
  readonly config: ServiceConfig;
}

/** Argument vectors; a line for the shell has become `/bin/sh -c LINE`. */
export interface HooksConfig {
  readonly beforeHold: readonly (readonly string[])[];
  readonly afterRelease: readonly (readonly string[])[];
  readonly beforeRestore: readonly (readonly string[])[];
  readonly afterRestore: readonly (readonly string[])[];
}
