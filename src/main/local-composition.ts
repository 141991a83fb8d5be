import { chmod, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Clock, HoldfastError, makeDirectories, programVersion, systemErrorCode } from "../base/index.ts";
import type { Composition, InitOutcome, RepositoryPlace } from "../cli/index.ts";
import {
  type Config,
  type EnvironmentConfig,
  fileProblem,
  type PasswordSource,
  type ProjectConfig,
} from "../config/index.ts";
import { openCatalog, type OpenCatalog, setDamagedCatalogAside } from "../control/index.ts";
import type { Environment, EnvironmentStatus } from "../engine/index.ts";
import type { Repository } from "../repository/index.ts";
import { composeEnvironment } from "./compose-environment.ts";
import { newPassword, passwordFileWarning, removePasswordFile, writePasswordFile } from "./password-file.ts";
import { describePasswordSource, type ProcessEnvironment, readPassword } from "./project-password.ts";
import {
  createProjectPassword,
  createProjectRepository,
  findProjectRepository,
  openProjectRepository,
} from "./project-repository.ts";
import { runProjectWorker } from "./project-worker.ts";

/** Everything on this machine, in this process. */
export class LocalComposition implements Composition {
  readonly hostname = hostname();
  readonly version = programVersion();
  readonly #clock: Clock;
  readonly #env: ProcessEnvironment;

  /** `env`: the process's environment variables. */
  constructor(options: { readonly clock: Clock; readonly env: ProcessEnvironment }) {
    this.#clock = options.clock;
    this.#env = options.env;
  }

  async createState(config: Config): Promise<InitOutcome> {
    const folder = config.stateDirectory;
    try {
      const made = await makeDirectories(folder, 0o700);
      if (((await stat(folder)).mode & 0o077) !== 0) await chmod(folder, 0o700);
      return made ? "created" : "there already";
    } catch (error) {
      throw new HoldfastError("STATE_UNUSABLE", `The state folder ${folder} cannot be made: ${fileProblem(error)}.`, {
        facts: { folder, code: systemErrorCode(error) ?? "" },
        ...(systemErrorCode(error) === "EACCES"
          ? { remedy: `Run it as the user that owns ${folder}, or as root.` }
          : {}),
        cause: error,
      });
    }
  }

  openCatalog(config: Config): Promise<OpenCatalog> {
    const url = config.server.catalog;
    return openCatalog(url === undefined ? { file: catalogFile(config) } : { url }, { clock: this.#clock });
  }

  async setDamagedCatalogAside(config: Config): Promise<string | undefined> {
    return config.server.catalog === undefined ? setDamagedCatalogAside(catalogFile(config), this.#clock) : undefined;
  }

  findRepository(project: ProjectConfig): Promise<RepositoryPlace> {
    return findProjectRepository(project);
  }

  createPasswordFile(_config: Config, project: ProjectConfig): Promise<InitOutcome> {
    return createProjectPassword(project, this.#env);
  }

  createRepository({ stateDirectory }: Config, project: ProjectConfig): Promise<InitOutcome> {
    return createProjectRepository(project, { env: this.#env, stateDirectory });
  }

  openRepository({ stateDirectory }: Config, project: ProjectConfig, signal: AbortSignal): Promise<Repository> {
    return openProjectRepository(project, { env: this.#env, stateDirectory, signal });
  }

  describePassword(project: ProjectConfig): string {
    return describePasswordSource(project.repository.password);
  }

  async readPassword(source: PasswordSource, signal: AbortSignal): Promise<string | undefined> {
    return readPassword(source, this.#env, signal);
  }

  newPassword(): string {
    return newPassword();
  }

  writePasswordFile(file: string, password: string): Promise<void> {
    return writePasswordFile(file, password);
  }

  removePasswordFile(file: string): Promise<void> {
    return removePasswordFile(file);
  }

  environment(
    config: Config,
    project: ProjectConfig,
    environment: EnvironmentConfig,
    status: EnvironmentStatus,
  ): Promise<Environment> {
    return composeEnvironment(config, project, environment, status);
  }

  async runGateway(...args: Parameters<Composition["runGateway"]>): Promise<void> {
    // An HTTP server takes 30 ms to load, of which all other commands have no use.
    const { runProjectGateway } = await import("./project-gateway.ts");
    return runProjectGateway(...args);
  }

  runWorker(...[config, catalog, options]: Parameters<Composition["runWorker"]>): Promise<void> {
    return runProjectWorker(config, catalog, { ...options, composition: this, clock: this.#clock });
  }

  async runApi(...[config, catalog, options]: Parameters<Composition["runApi"]>): Promise<void> {
    // Loaded by the one command that serves: it takes others longer to load than to do their work.
    const { runProjectApi } = await import("./project-api.ts");
    await runProjectApi(config, catalog, {
      ...options,
      clock: this.#clock,
      version: this.version,
      composition: this,
    });
  }

  async warnings(config: Config): Promise<readonly string[]> {
    const found = await Promise.all(
      config.projects.flatMap(({ repository: { password } }) =>
        password.kind === "file" ? [passwordFileWarning(password.file)] : [],
      ),
    );
    return found.filter((warning) => warning !== undefined);
  }
}

const catalogFile = (config: Config): string => join(config.stateDirectory, "catalog.db");
