import type { Command } from "commander";
import { planeEnvironment } from "../choose.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { formatMoment } from "../output/moment.ts";
import { createProgress } from "../progress/create-progress.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
import { type Invocation, say } from "../offline/session.ts";

interface DeleteOptions {
  readonly wait: boolean;
}

export function registerBackupDelete(program: Command, run: RunCommand): void {
  program
    .command("backup:delete")
    .description("Delete a backup")
    .argument("<id>", "the backup, or latest")
    .option("-W, --no-wait", "do not wait for the end (needs a server; without one the command waits)")
    .action(run((invocation, options: DeleteOptions, id?: string) => remove(invocation, options, id ?? "")));
}

async function remove(invocation: Invocation, options: DeleteOptions, id: string): Promise<number> {
  await using plane = await openControlPlane(invocation);
  const environment = await planeEnvironment(plane, invocation.options);
  const backup = await plane.findBackup(environment.id, id);
  const kind = `${backup.safe ? "safe" : "live"}, ${formatMoment(backup.createdAt)}`;
  say(invocation, `Deleting the backup ${backup.id} (${kind}) of ${environment.id}. This cannot be undone.`);
  if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;
  const progress = createProgress(invocation.host, invocation.options, undefined);
  try {
    const outcome = await plane.deleteBackup(environment, backup.id, { wait: options.wait, progress });
    progress.finish();
    say(
      invocation,
      outcome === "deleted" ? `The backup ${backup.id} has been deleted.` : `The backup ${backup.id} is being deleted.`,
    );
    return 0;
  } finally {
    progress.finish();
  }
}
