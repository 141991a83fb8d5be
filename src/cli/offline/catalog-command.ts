import type { Command } from "commander";
import type { Config, ProjectConfig } from "../../config/index.ts";
import type { OpenCatalog } from "../../control/index.ts";
import { rebuildCatalog, type RebuildReport } from "../../engine/index.ts";
import { formatCount } from "../output/moment.ts";
import { printable } from "../output/printable.ts";
import { TaskProgress } from "../progress/task-progress.ts";
import type { RunCommand } from "../run-command.ts";
import { chooseProject } from "../choose.ts";
import { type Invocation, openConfig, say } from "./session.ts";
import { warningsExit } from "../commands/warnings.ts";

export function registerCatalogCommands(program: Command, run: RunCommand): void {
  program
    .command("catalog:rebuild")
    .description("Make the catalog again from the repositories: of all projects, or of the one that --project names")
    .action(run((invocation) => rebuildAll(invocation)));
}

async function rebuildAll(invocation: Invocation): Promise<number> {
  const { composition, options } = invocation;
  const config = await openConfig(invocation);
  const projects = options.project === undefined ? config.projects : [chooseProject(config.projects, options.project)];
  await composition.createState(config);
  let warnings = 0;
  const aside = await composition.setDamagedCatalogAside(config);
  if (aside !== undefined) {
    warnings += 1;
    say(
      invocation,
      `Warning: the catalog was damaged. It is ${aside} now, and the environments' statuses are those of the configuration again.`,
    );
  }
  const catalog = await composition.openCatalog(config);
  try {
    for (const project of projects) {
      const report = await rebuildProject(invocation, config, project, catalog);
      for (const { snapshot, reason } of report.unreadable) {
        say(invocation, `Warning: the snapshot ${snapshot.slice(0, 8)} is left out: ${printable(reason)}`);
      }
      warnings += report.unreadable.length;
      say(invocation, `${project.id}: ${reportText(report)}`);
    }
  } finally {
    await catalog.close();
  }
  return warningsExit(invocation, warnings, undefined);
}

async function rebuildProject(
  invocation: Invocation,
  config: Config,
  project: ProjectConfig,
  catalog: OpenCatalog,
): Promise<RebuildReport> {
  const { composition, host, options } = invocation;
  const repository = await composition.openRepository(config, project, host.signal);
  const progress = new TaskProgress(host, options, "rebuild");
  try {
    return await rebuildCatalog(
      {
        repository,
        catalog,
        stateDirectory: config.stateDirectory,
        signal: host.signal,
        onProgress: (done, total) => progress.show(done, total),
      },
      project.id,
      project.environments.map(({ id }) => id),
    );
  } finally {
    progress.finish();
    await repository.close();
  }
}

/** "12 backups, 3 of them added; 1 removed that has no snapshot". */
function reportText({ backups, added, removed }: RebuildReport): string {
  const gone = removed === 0 ? "" : `; ${removed.toLocaleString("en-US")} removed, having no snapshot`;
  return `${formatCount(backups, "backup")}, ${added.toLocaleString("en-US")} of them added${gone}`;
}
