import type { Command } from "commander";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import { formatMoment } from "../output/moment.ts";
import type { RunCommand } from "../run-command.ts";
import { unfinishedInBackground } from "./background.ts";
import { backupColumns, defaultBackupColumns } from "./backup-columns.ts";
import { backupJson } from "./backup-json.ts";
import { type Invocation, say, Session } from "./session.ts";

export function registerBackupList(program: Command, run: RunCommand): void {
  addDataOptions(
    program
      .command("backup:list")
      .alias("backups")
      .description("List an environment's backups, newest first")
      .argument("[environment]", "the environment"),
  ).action(run((invocation, options: DataOptions, environment?: string) => list(invocation, options, environment)));
}

async function list(invocation: Invocation, options: DataOptions, argument: string | undefined): Promise<number> {
  await using session = await Session.open(invocation);
  const environment = session.chooseEnvironment(argument);
  const { project } = session;
  for (const { id, startedAt, log } of await unfinishedInBackground(session.config.stateDirectory)) {
    const begun = `the backup ${id}, begun in the background on ${formatMoment(startedAt)}`;
    say(invocation, `Note: ${begun}, is not complete. It still runs, or has failed: see ${log}`);
  }
  const rows = await session.catalog.list(project.id, environment.id);
  const replicas = project.repository.replicas.map(({ name }) => name);
  const table = {
    columns: backupColumns,
    defaultColumns: defaultBackupColumns,
    rows,
    json: (backup: (typeof rows)[number]): unknown => backupJson(backup, replicas),
  };
  // Rendered first, so that a wrong --columns is told in any case.
  const text = renderData(table, options);
  if (rows.length === 0) {
    // There is a state folder before `init`, too, where the gateway has run: then the repository is missing.
    await session.repository();
    if (options.format === "json") invocation.host.stdout.write(text);
    say(invocation, "No backups found");
    return 1;
  }
  if (options.format === undefined || options.format === "table") {
    say(
      invocation,
      `Backups on the project ${project.title} (${project.id}), environment ${environment.id} (type: ${environment.type}):`,
    );
  }
  invocation.host.stdout.write(text);
  return 0;
}
