import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type Facts, HoldfastError, type Logger, silentLogger, systemErrorCode } from "../../base/index.ts";
import { type Config, type EnvironmentConfig, loadConfig, type ProjectConfig } from "../../config/index.ts";
import { type ActivityType, type Actor, manualPolicy, type OpenCatalog, retentionKey } from "../../control/index.ts";
import type { Backup, EngineContext, EngineEvent, Environment } from "../../engine/index.ts";
import type { Repository } from "../../repository/index.ts";
import type { GlobalOptions } from "../global-options.ts";
import type { CliHost } from "../host.ts";
import { formatMoment } from "../output/moment.ts";
import { StreamLogger } from "../output/stream-logger.ts";
import { type BackgroundBackup, unfinishedInBackground } from "./background.ts";
import { chooseEnvironment, chooseProject } from "../choose.ts";
import type { Composition } from "./composition.ts";

/** One command's invocation: where it runs, what was asked of every command, and how things are made. */
export interface Invocation {
  readonly host: CliHost;
  readonly composition: Composition;
  readonly options: GlobalOptions;
  /** With `--format json`, when standard error is lines of JSON, too. */
  readonly json: boolean;
}

/** A line for people, on standard error; nothing with --quiet. */
export function say({ host, options, json }: Invocation, text: string): void {
  if (options.quiet) return;
  if (!json) host.stderr.write(`${text}\n`);
  else if (text !== "") host.stderr.write(`${JSON.stringify({ type: "message", message: text })}\n`);
}

/** With --verbose only. */
export function sayDetail(invocation: Invocation, text: string): void {
  if (invocation.options.verbose) say(invocation, text);
}

/** What commands do themselves, by the names of the activities that do it on a server. */
export type AuditedAction = ActivityType | "backup.restore-into";

/** Who does what a command does, for the audit trail. */
export const commandLineActor = ({ composition }: Invocation): Actor => ({
  id: "",
  name: `command line on ${composition.hostname}`,
  address: null,
});

export function logOf({ host, options, json }: Invocation): Logger {
  if (options.quiet) return silentLogger;
  return new StreamLogger(host.stderr, options.verbose ? "debug" : "warn", { json });
}

/** The configuration file that this invocation means, read and checked. @throws HoldfastError CONFIG_INVALID */
export async function openConfig(invocation: Invocation): Promise<Config> {
  const { host, options, composition } = invocation;
  const named = options.config ?? defaultConfigFile(host);
  const config = await readConfig(host, resolve(host.cwd, named));
  if (!options.quiet) {
    for (const warning of await composition.warnings(config)) say(invocation, `Warning: ${warning}`);
  }
  return config;
}

async function readConfig({ env }: CliHost, file: string): Promise<Config> {
  try {
    return await loadConfig({ file, env });
  } catch (error) {
    // Clients of the server that it names do without a configuration and never come here.
    const isMissing = error instanceof HoldfastError && systemErrorCode(error.cause) === "ENOENT";
    if (!isMissing || (env["HOLDFAST_SERVER"] ?? "") === "") throw error;
    throw new HoldfastError(
      error.code,
      `${error.message} HOLDFAST_SERVER does not apply to this command: it works on the repository itself.`,
      {
        facts: error.facts,
        remedy: "Run it on the machine with the configuration, or name the file with --config FILE or HOLDFAST_CONFIG.",
        cause: error,
      },
    );
  }
}

/** `./holdfast.yaml` if it is there, else what HOLDFAST_CONFIG names. */
function defaultConfigFile(host: CliHost): string {
  const here = resolve(host.cwd, "holdfast.yaml");
  const named = host.env["HOLDFAST_CONFIG"] ?? "";
  if (named === "") return here;
  return existsSync(here) ? here : named;
}

/** A project and environment with the catalog open and the repository on demand. Closes what it opened. */
export class Session implements AsyncDisposable {
  readonly invocation: Invocation;
  readonly config: Config;
  readonly project: ProjectConfig;
  readonly catalog: OpenCatalog;
  #repository: Promise<Repository> | undefined;

  private constructor(
    invocation: Invocation,
    config: Config,
    project: ProjectConfig,
    catalog: OpenCatalog,
    repository: Promise<Repository> | undefined,
  ) {
    this.invocation = invocation;
    this.config = config;
    this.project = project;
    this.catalog = catalog;
    this.#repository = repository;
  }

  /**
   * `config`: read already. `needsRepository`: opens it beside everything else, as its password takes a while; errors come when it is asked for.
   * @throws HoldfastError CONFIG_INVALID, PROJECT_NOT_FOUND, REPOSITORY_MISSING, STATE_UNUSABLE
   */
  static async open(
    invocation: Invocation,
    options: { readonly config?: Config; readonly needsRepository?: boolean } = {},
  ): Promise<Session> {
    const config = options.config ?? (await openConfig(invocation));
    const project = chooseProject(config.projects, invocation.options.project);
    // Before `init` it is the missing repository that has to be told, and nothing is made.
    const isNew = !existsSync(config.stateDirectory);
    const repository =
      isNew || options.needsRepository === true
        ? invocation.composition.openRepository(config, project, invocation.host.signal)
        : undefined;
    repository?.catch(() => undefined);
    try {
      if (isNew) await repository;
      await invocation.composition.createState(config);
      const catalog = await invocation.composition.openCatalog(config);
      return new Session(invocation, config, project, catalog, repository);
    } catch (error) {
      await closeOpened(repository);
      throw error;
    }
  }

  /** The environment that the argument, else --environment, else the default names. */
  chooseEnvironment(argument?: string): EnvironmentConfig {
    return chooseEnvironment(this.project, argument ?? this.invocation.options.environment);
  }

  async repository(): Promise<Repository> {
    this.#repository ??= this.invocation.composition.openRepository(
      this.config,
      this.project,
      this.invocation.host.signal,
    );
    return await this.#repository;
  }

  /** The environment as the engine works on it, with its status from the catalog. */
  async environment(environment: EnvironmentConfig): Promise<Environment> {
    const status = await this.catalog.environmentStatus(this.project.id, environment.id, environment.initialStatus);
    const composed = await this.invocation.composition.environment(this.config, this.project, environment, status);
    const settings = await this.catalog.projects.settings(this.project.id);
    const { count } = manualPolicy(this.project.profile, environment.type, settings.get(retentionKey));
    return { ...composed, manualCount: count };
  }

  /** Enters into the audit trail what is about to be done: nothing is done without. @throws HoldfastError STATE_UNUSABLE */
  record(action: AuditedAction, environment: EnvironmentConfig, facts: Facts): Promise<void> {
    return this.catalog.access.auditTrail.record(commandLineActor(this.invocation), {
      action,
      project: this.project.id,
      environment: environment.id,
      facts,
    });
  }

  async engineContext(onEvent: (event: EngineEvent) => void): Promise<EngineContext> {
    const { host, composition } = this.invocation;
    return {
      repository: await this.repository(),
      catalog: this.catalog,
      stateDirectory: this.config.stateDirectory,
      hostname: composition.hostname,
      clock: host.clock,
      log: logOf(this.invocation),
      signal: host.signal,
      onEvent,
    };
  }

  /**
   * The backup of an id; without one, and for "latest", the newest that passes `accept`.
   * @throws HoldfastError BACKUP_NOT_FOUND
   */
  async findBackup(
    environment: EnvironmentConfig,
    wanted: string | undefined,
    accept: (backup: Backup) => boolean = () => true,
  ): Promise<Backup> {
    const id = wanted === "latest" ? undefined : wanted;
    const backups = await this.catalog.list(this.project.id, environment.id);
    const found = id === undefined ? backups.find(accept) : backups.find((backup) => backup.id === id);
    if (found !== undefined) return found;
    const background = (await unfinishedInBackground(this.config.stateDirectory)).find((one) => one.id === id);
    if (background !== undefined) throw notComplete(background);
    const message =
      id === undefined
        ? `No backups found in the environment ${environment.id}.`
        : `The environment ${environment.id} has no backup "${id}".`;
    throw new HoldfastError("BACKUP_NOT_FOUND", message, {
      facts: { environment: environment.id, ...(id === undefined ? {} : { backup: id }) },
      remedy: id === undefined ? "Make one:  holdfast backup:create" : "See which there are:  holdfast backup:list",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await closeOpened(this.#repository);
    } finally {
      await this.catalog.close();
    }
  }
}

async function closeOpened(opening: Promise<Repository> | undefined): Promise<void> {
  // Whoever asked for it has the error of one that could not be opened.
  const repository = await opening?.catch(() => undefined);
  await repository?.close();
}

function notComplete({ id, startedAt, log, lastLines }: BackgroundBackup): HoldfastError {
  return new HoldfastError(
    "BACKUP_NOT_FOUND",
    `The backup ${id}, begun in the background on ${formatMoment(startedAt)}, is not complete: it still runs, or has failed. ` +
      (lastLines === "" ? "It has said nothing yet." : `It said last:\n${lastLines.replaceAll(/^/gm, "    ")}`),
    { facts: { backup: id, log }, remedy: `See its log, and remove it if the backup has failed:  ${log}` },
  );
}
