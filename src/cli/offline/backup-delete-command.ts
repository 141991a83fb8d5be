import type { Command } from "commander";
import { deleteBackup } from "../../engine/index.ts";
import { formatMoment } from "../output/moment.ts";
import { createProgress } from "../progress/create-progress.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
import { type Invocation, say, Session } from "./session.ts";

export function registerBackupDelete(program: Command, run: RunCommand): void {
  program
    .command("backup:delete")
    .description("Delete a backup")
    .argument("<id>", "the backup, or latest")
    .option("-W, --no-wait", "do not wait for the end (needs a server; without one the command waits)")
    .action(run((invocation, _options: unknown, id?: string) => remove(invocation, id ?? "")));
}

async function remove(invocation: Invocation, id: string): Promise<number> {
  await using session = await Session.open(invocation);
  const chosen = session.chooseEnvironment();
  const backup = await session.findBackup(chosen, id);
  const progress = createProgress(invocation.host, invocation.options, undefined);
  const context = await session.engineContext((event) => progress.show(event));
  const kind = `${backup.safe ? "safe" : "live"}, ${formatMoment(backup.createdAt)}`;
  say(invocation, `Deleting the backup ${backup.id} (${kind}) of ${chosen.id}. This cannot be undone.`);
  if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;
  await session.record("environment.backup.delete", chosen, { backup: backup.id });
  try {
    await deleteBackup(context, await session.environment(chosen), backup.id);
  } finally {
    progress.finish();
  }
  say(invocation, `The backup ${backup.id} has been deleted.`);
  return 0;
}
