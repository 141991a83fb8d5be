import { Argument, type Command } from "commander";
import type { RunCommand } from "../run-command.ts";
import { completionScript, type Shell, shells } from "./completion-scripts.ts";

export function registerCompletion(program: Command, run: RunCommand): void {
  program
    .command("completion")
    .description("Print the script by which a shell completes commands, options, environments and backups")
    .addArgument(new Argument("<shell>", "the shell").choices(shells))
    .action(
      run(async ({ host }, _options: unknown, shell?: string) => {
        host.stdout.write(completionScript(shell as Shell));
        return 0;
      }),
    );
}
