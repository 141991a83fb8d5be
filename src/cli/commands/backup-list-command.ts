import type { Command } from "commander";
import { planeEnvironment } from "../choose.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import type { RunCommand } from "../run-command.ts";
import { backupColumns, defaultBackupColumns } from "./backup-columns.ts";
import { backupJson } from "./backup-json.ts";
import { type Invocation, say } from "../offline/session.ts";

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
  await using plane = await openControlPlane(invocation);
  const { project } = plane;
  const environment = await planeEnvironment(plane, invocation.options, argument);
  for (const note of await plane.backgroundNotes()) say(invocation, `Note: ${note}`);
  const rows = await plane.backups(environment.id);
  const table = { columns: backupColumns, defaultColumns: defaultBackupColumns, rows, json: backupJson };
  // Rendered first, so that a wrong --columns is told in any case.
  const text = renderData(table, options);
  if (rows.length === 0) {
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
