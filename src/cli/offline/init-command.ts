import { stat } from "node:fs/promises";
import type { Command } from "commander";
import { HoldfastError, systemErrorCode } from "../../base/index.ts";
import type { Config, ProjectConfig } from "../../config/index.ts";
import type { DeclarationChange, OpenCatalog } from "../../control/index.ts";
import { formatCount } from "../output/moment.ts";
import type { RunCommand } from "../run-command.ts";
import type { InitOutcome } from "./composition.ts";
import { chooseProject } from "../choose.ts";
import { declaredProjects } from "./declared-projects.ts";
import { type Invocation, openConfig, say } from "./session.ts";
import { warningsExit } from "../commands/warnings.ts";

export function registerInit(program: Command, run: RunCommand): void {
  program
    .command("init")
    .description("Check the configuration; make keys, repositories and the catalog where they are missing")
    .option("--new-repository", "make an empty repository even where the catalog has backups of a lost one", false)
    .action(run((invocation, options: InitOptions) => init(invocation, options)));
}

interface InitOptions {
  readonly newRepository: boolean;
}

async function init(invocation: Invocation, { newRepository }: InitOptions): Promise<number> {
  const { composition, options } = invocation;
  const config = await openConfig(invocation);
  const projects = options.project === undefined ? config.projects : [chooseProject(config.projects, options.project)];
  const environments = projects.reduce((sum, project) => sum + project.environments.length, 0);
  say(
    invocation,
    `configuration  ${config.file}: ${formatCount(projects.length, "project")}, ${formatCount(environments, "environment")}`,
  );
  report(invocation, "state folder", config.stateDirectory, await composition.createState(config));
  let keysMade = 0;
  let lost = 0;
  const catalog = await composition.openCatalog(config);
  try {
    for (const project of projects) lost += await lostBackups(invocation, catalog, project, newRepository);
    for (const project of projects) keysMade += (await initProject(invocation, config, project)) === "created" ? 1 : 0;
    const declared = declaredProjects(config, projects);
    // With its catalog in a file there is no other configuration; with one project chosen, others are not meant.
    const complete = config.server?.catalog === undefined && projects.length === config.projects.length;
    for (const change of await catalog.projects.planDeclare(declared, { complete })) {
      say(invocation, `               ${changeText(change)}`);
    }
    await catalog.projects.declare(declared, { complete });
  } finally {
    await catalog.close();
  }
  say(invocation, `catalog        ready`);
  if (keysMade > 0) {
    say(
      invocation,
      "\nKeep a copy of each new key somewhere else: without it nobody, Holdfast's authors included, can read the backups.",
    );
  }
  if (lost > 0) {
    say(
      invocation,
      `\nThe catalog still lists ${formatCount(lost, "backup")} of the lost repository. Remove them from it:  holdfast catalog:rebuild`,
    );
  }
  let missing = 0;
  for (const project of projects) {
    for (const line of await missingFolders(project)) {
      say(invocation, `Warning: ${line}`);
      missing += 1;
    }
  }
  return warningsExit(invocation, missing, undefined);
}

/** "staging: the title becomes Staging (was staging)". */
function changeText(change: DeclarationChange): string {
  const what = change.environment ?? `project ${change.project}`;
  switch (change.kind) {
    case "added":
      return `${what}: new`;
    case "gone":
      return `${what}: no longer in the configuration; its backups stay`;
    case "changed":
      return `${what}: the ${change.field} becomes ${change.to === "" ? "none" : change.to} (was ${change.from === "" ? "none" : change.from})`;
    case "kept":
      return `${what} is ${change.is}, whatever the configuration says (${change.declared})`;
  }
}

/** Mounts and code that are not there (yet): a backup of their environment would be refused. */
async function missingFolders(project: ProjectConfig): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const environment of project.environments) {
    for (const application of environment.applications) {
      const key = `projects.${project.id}.environments.${environment.id}.applications.${application.name}`;
      const folders = [
        ...(application.code === undefined
          ? []
          : [{ what: `the code of ${application.name}`, path: application.code, key: `${key}.code` }]),
        ...application.mounts.map(({ name, path }) => ({
          what: `the mount ${application.name}/${name}`,
          path,
          key: `${key}.mounts.${name}`,
        })),
      ];
      for (const { what, path, key: place } of folders) {
        if (!(await isFolder(path))) lines.push(`${environment.id}: ${what} has no folder ${path} (${place}).`);
      }
    }
  }
  return lines;
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    // What keeps it from being looked at is told by the backup.
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return code !== "ENOENT" && code !== "ENOTDIR";
  }
}

/**
 * How many backups the catalog has of a repository that is not there. An empty one in its place would hide that they are
 * gone, and be hidden itself once the disk is back. @throws HoldfastError REPOSITORY_MISSING unless `newRepository`;
 * CONFIG_INVALID if the folder that it is to be in is not there
 */
async function lostBackups(
  { composition }: Invocation,
  catalog: OpenCatalog,
  project: ProjectConfig,
  newRepository: boolean,
): Promise<number> {
  const { there, location, missingParent } = await composition.findRepository(project);
  if (there) return 0;
  const backups = (await catalog.list(project.id)).length;
  if (missingParent !== undefined && (backups === 0 || newRepository)) {
    throw new HoldfastError(
      "CONFIG_INVALID",
      `The repository of project ${project.id} cannot be made at ${location}: there is no folder ${missingParent}.`,
      {
        facts: { project: project.id, location, folder: missingParent },
        remedy: `Is its disk mounted, and the path in the configuration right? If so, make the folder:  mkdir -p ${missingParent}`,
      },
    );
  }
  if (backups === 0 || newRepository) return backups;
  throw new HoldfastError(
    "REPOSITORY_MISSING",
    `The repository of project ${project.id} at ${location} is gone: the catalog has ${formatCount(backups, "backup")} of it. Is its disk mounted?`,
    {
      facts: { project: project.id, location, backups },
      remedy:
        "Mount its disk, or mend the location in the configuration.\n" +
        "If the backups are lost, begin anew:  holdfast init --new-repository",
    },
  );
}

/** The key comes first: a repository without one that is kept would be lost. */
async function initProject(invocation: Invocation, config: Config, project: ProjectConfig): Promise<InitOutcome> {
  const { composition } = invocation;
  const { replicas } = project.repository;
  const key = await composition.createPasswordFile(config, project);
  report(invocation, "key", composition.describePassword(project), key);
  const repository = await composition.createRepository(config, project);
  const places = replicas.map((replica) => (replica.type === "local" ? replica.path : replica.name));
  report(invocation, "repository", places.join(", "), repository);
  return key;
}

function report(invocation: Invocation, what: string, where: string, outcome: InitOutcome): void {
  say(invocation, `${what.padEnd(14)} ${where}: ${outcome}`);
}
