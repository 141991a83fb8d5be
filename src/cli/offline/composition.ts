import type { Logger } from "../../base/index.ts";
import type { Config, EnvironmentConfig, PasswordSource, ProjectConfig } from "../../config/index.ts";
import type { OpenCatalog } from "../../control/index.ts";
import type { Environment, EnvironmentStatus } from "../../engine/index.ts";
import type { Repository } from "../../repository/index.ts";

/** What `init` found and did, one word each. */
export type InitOutcome = "created" | "there already";

/** Where a project's repository is to be. */
export interface RepositoryPlace {
  readonly there: boolean;
  readonly location: string;
  /** The folder above, where that is not there. */
  readonly missingParent: string | undefined;
}

/**
 * Makes concrete things out of the configuration: the only way that commands get at backends, drivers and gateways.
 * `src/main/` implements it.
 */
export interface Composition {
  readonly hostname: string;
  readonly version: string;

  /** Makes the state folder, mode 0700. @throws HoldfastError STATE_UNUSABLE */
  createState(config: Config): Promise<InitOutcome>;
  /** @throws HoldfastError STATE_UNUSABLE */
  openCatalog(config: Config): Promise<OpenCatalog>;
  /** Where the catalog is a damaged file, moves it out of the way and returns its new path. @throws HoldfastError STATE_UNUSABLE */
  setDamagedCatalogAside(config: Config): Promise<string | undefined>;

  /** Looks for the project's repository, without its password. @throws HoldfastError CONFIG_INVALID, STORAGE_* */
  findRepository(project: ProjectConfig): Promise<RepositoryPlace>;
  /** Makes the file with the repository's password, mode 0600. @throws HoldfastError CONFIG_INVALID, STATE_UNUSABLE */
  createPasswordFile(config: Config, project: ProjectConfig): Promise<InitOutcome>;
  /** Makes an empty repository, or opens the one that is there. @throws HoldfastError REPOSITORY_*, STORAGE_* */
  createRepository(config: Config, project: ProjectConfig): Promise<InitOutcome>;
  /** @throws HoldfastError REPOSITORY_MISSING, REPOSITORY_PASSWORD_WRONG, CONFIG_INVALID, STORAGE_* */
  openRepository(config: Config, project: ProjectConfig, signal: AbortSignal): Promise<Repository>;

  /** Where the project's password comes from, for people; never the password. */
  describePassword(project: ProjectConfig): string;
  /** The password that a source gives; undefined if it is a file that is not there. @throws HoldfastError CONFIG_INVALID */
  readPassword(source: PasswordSource, signal: AbortSignal): Promise<string | undefined>;
  /** A password that nobody can guess. */
  newPassword(): string;
  /** Puts a password into a file, mode 0600, whole or not at all. @throws HoldfastError STATE_UNUSABLE */
  writePasswordFile(file: string, password: string): Promise<void>;
  /** Removes a password file; none is no error. @throws HoldfastError STATE_UNUSABLE */
  removePasswordFile(file: string): Promise<void>;

  environment(
    config: Config,
    project: ProjectConfig,
    environment: EnvironmentConfig,
    status: EnvironmentStatus,
  ): Promise<Environment>;

  /** Runs the environment's built-in gateway until the signal. @throws HoldfastError CONFIG_INVALID, GATEWAY_* */
  runGateway(
    config: Config,
    project: ProjectConfig,
    environment: EnvironmentConfig,
    options: { readonly signal: AbortSignal; readonly log: Logger; readonly onListening: (address: string) => void },
  ): Promise<void>;

  /**
   * Takes activities of the configuration's environments from the catalog's queue and does what they ask for, until the
   * signal; then what runs is finished, or undone and given back. @throws HoldfastError WORKER_RUNNING, STATE_UNUSABLE
   */
  runWorker(
    config: Config,
    catalog: OpenCatalog,
    options: { readonly signal: AbortSignal; readonly log: Logger; readonly onReady: (place: string) => void },
  ): Promise<void>;

  /**
   * Serves the API until the signal, then lets running requests finish.
   * `onListening` gets the address, and the one-time link for the first administrator if there is none yet.
   * @throws HoldfastError CONFIG_INVALID, STATE_UNUSABLE
   */
  runApi(
    config: Config,
    catalog: OpenCatalog,
    options: {
      readonly signal: AbortSignal;
      readonly log: Logger;
      readonly onListening: (url: string, setupLink: string | undefined) => void;
    },
  ): Promise<void>;

  /** What a person should know of the configuration's surroundings: file modes that are too open. */
  warnings(config: Config): Promise<readonly string[]>;
}
