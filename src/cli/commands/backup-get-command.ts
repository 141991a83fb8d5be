import type { Command } from "commander";
import { planeEnvironment } from "../choose.ts";
import type { ControlPlane } from "../control-plane.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { isHoldfastError } from "../../base/index.ts";
import type { Backup } from "../../engine/index.ts";
import { addPropertyOptions, type PropertyOptions, renderProperties } from "./property-output.ts";
import { printable } from "../output/printable.ts";
import type { RunCommand } from "../run-command.ts";
import { backupJson } from "./backup-json.ts";
import { sizesJson } from "../offline/repo-stats-command.ts";
import { type Invocation, say, sayDetail } from "../offline/session.ts";

export function registerBackupGet(program: Command, run: RunCommand): void {
  addPropertyOptions(
    program
      .command("backup:get")
      .description("Show a backup, by default the newest")
      .argument("[id]", "the backup, or latest"),
    "hold.held_ms",
  ).action(run((invocation, options: PropertyOptions, id?: string) => get(invocation, options, id)));
}

async function get(invocation: Invocation, options: PropertyOptions, id: string | undefined): Promise<number> {
  await using plane = await openControlPlane(invocation);
  const environment = await planeEnvironment(plane, invocation.options);
  const backup = await plane.findBackup(environment.id, id);
  if (id !== backup.id) sayDetail(invocation, `The newest backup: ${backup.id}`);
  const data = backupJson(backup);
  // Measuring reads directories of all backups: not for who wants to know something else.
  if (options.property === undefined || /^sizes(\.|$)/.test(options.property)) {
    data["sizes"] = await sizesOf(invocation, plane, backup);
  }
  invocation.host.stdout.write(renderProperties("A backup", data, options));
  return 0;
}

/** Null, with a warning, if the repository does not tell. */
async function sizesOf(
  invocation: Invocation,
  plane: ControlPlane,
  backup: Backup,
): Promise<Record<string, number> | null> {
  try {
    const sizes = await plane.backupSizes(backup);
    return sizes === null ? null : sizesJson(sizes);
  } catch (error) {
    if (!isHoldfastError(error) || error.code === "INTERRUPTED") throw error;
    say(invocation, `Warning: what the backup takes cannot be told: ${printable(error.message)}`);
    return null;
  }
}
