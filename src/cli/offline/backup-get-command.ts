import type { Command } from "commander";
import { isHoldfastError } from "../../base/index.ts";
import type { Backup } from "../../engine/index.ts";
import { addPropertyOptions, type PropertyOptions, renderProperties } from "../commands/property-output.ts";
import { printable } from "../output/printable.ts";
import type { RunCommand } from "../run-command.ts";
import { backupJson } from "./backup-json.ts";
import { measure, sizesJson } from "./repo-stats-command.ts";
import { type Invocation, say, sayDetail, Session } from "./session.ts";
import { tagOf } from "./snapshot-text.ts";

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
  await using session = await Session.open(invocation);
  const backup = await session.findBackup(session.chooseEnvironment(), id);
  if (id !== backup.id) sayDetail(invocation, `The newest backup: ${backup.id}`);
  const replicas = session.project.repository.replicas.map(({ name }) => name);
  const data = backupJson(backup, replicas);
  // Measuring reads directories of all backups: not for who wants to know something else.
  if (options.property === undefined || /^sizes(\.|$)/.test(options.property)) {
    data["sizes"] = await sizesOf(invocation, session, backup);
  }
  invocation.host.stdout.write(renderProperties("A backup", data, options));
  return 0;
}

/** Null, with a warning, if the repository does not tell. */
async function sizesOf(
  invocation: Invocation,
  session: Session,
  backup: Backup,
): Promise<Record<string, number> | null> {
  try {
    const repository = await session.repository();
    const { signal } = invocation.host;
    const { sizes } = await measure(invocation, (onProgress) => repository.stats({ signal, onProgress }));
    const found =
      sizes.find(({ snapshot }) => snapshot.id === backup.snapshot) ??
      sizes.find(({ snapshot }) => tagOf(snapshot, "backup") === backup.id);
    return found === undefined ? null : sizesJson(found);
  } catch (error) {
    if (!isHoldfastError(error) || error.code === "INTERRUPTED") throw error;
    say(invocation, `Warning: what the backup takes cannot be told: ${printable(error.message)}`);
    return null;
  }
}
