import { chmod, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Clock, HoldfastError, makeDirectories, programVersion, systemErrorCode } from "../base/index.ts";
import type { Composition, InitOutcome } from "../cli/index.ts";
import { type Config, type EnvironmentConfig, fileProblem, type ProjectConfig } from "../config/index.ts";
import { openSqliteCatalog, type SqliteCatalog } from "../control/index.ts";
import type { Environment, EnvironmentStatus } from "../engine/index.ts";
import type { Repository } from "../repository/index.ts";
import { composeEnvironment } from "./compose-environment.ts";
import { passwordFileWarning } from "./password-file.ts";
import { createProjectPassword, createProjectRepository, openProjectRepository } from "./project-repository.ts";
import { runProjectGateway } from "./project-gateway.ts";

/** Everything on this machine, in this process. */
export class LocalComposition implements Composition {
  readonly hostname = hostname();
  readonly version = programVersion();
  readonly #clock: Clock;

  constructor(options: { readonly clock: Clock }) {
    this.#clock = options.clock;
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
        cause: error,
      });
    }
  }

  openCatalog(config: Config): Promise<SqliteCatalog> {
    return openSqliteCatalog({ file: join(config.stateDirectory, "catalog.db"), clock: this.#clock });
  }

  createPasswordFile(_config: Config, project: ProjectConfig): Promise<InitOutcome> {
    return createProjectPassword(project);
  }

  createRepository(_config: Config, project: ProjectConfig): Promise<InitOutcome> {
    return createProjectRepository(project);
  }

  openRepository(_config: Config, project: ProjectConfig): Promise<Repository> {
    return openProjectRepository(project);
  }

  environment(
    config: Config,
    project: ProjectConfig,
    environment: EnvironmentConfig,
    status: EnvironmentStatus,
  ): Promise<Environment> {
    return composeEnvironment(config, project, environment, status);
  }

  runGateway(...args: Parameters<Composition["runGateway"]>): Promise<void> {
    return runProjectGateway(...args);
  }

  async warnings(config: Config): Promise<readonly string[]> {
    const found = await Promise.all(
      config.projects.map(({ repository }) => passwordFileWarning(repository.passwordFile)),
    );
    return found.filter((warning) => warning !== undefined);
  }
}
