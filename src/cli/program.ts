import { Command, CommanderError } from "commander";
import { registerActivityCommands } from "./commands/activity-commands.ts";
import { registerCurlCommands } from "./commands/curl-commands.ts";
import { registerLoginCommands } from "./commands/login-commands.ts";
import { registerSettingsCommands } from "./commands/settings-commands.ts";
import { completeWords } from "./completion/complete-words.ts";
import { registerCompletion } from "./completion/completion-command.ts";
import { completeWord } from "./completion/completion-scripts.ts";
import { addGlobalOptions, type GlobalOptions, globalOptions } from "./global-options.ts";
import { type CliHost, usesColour } from "./host.ts";
import { registerBackupCreate } from "./commands/backup-create-command.ts";
import { registerBackupDelete } from "./commands/backup-delete-command.ts";
import { registerBackupDownload } from "./commands/backup-download-command.ts";
import { registerBackupFiles } from "./commands/backup-files-command.ts";
import { registerBackupGet } from "./commands/backup-get-command.ts";
import { registerBackupList } from "./commands/backup-list-command.ts";
import { registerBackupRestore } from "./commands/backup-restore-command.ts";
import type { Composition } from "./offline/composition.ts";
import { registerCatalogCommands } from "./offline/catalog-command.ts";
import { registerEnvironmentCommands } from "./commands/environment-commands.ts";
import { registerDbDump } from "./commands/db-dump-command.ts";
import { registerMountDownload } from "./commands/mount-download-command.ts";
import { registerGateway } from "./offline/gateway-command.ts";
import { registerInit } from "./offline/init-command.ts";
import { registerKeyCommands } from "./offline/key-commands.ts";
import { registerRepoPrune } from "./offline/repo-prune-command.ts";
import { registerRepoStats } from "./offline/repo-stats-command.ts";
import { registerRepoRepair } from "./offline/repo-repair-command.ts";
import { registerRepositoryCommands } from "./offline/repository-commands.ts";
import { registerServe } from "./offline/serve-command.ts";
import type { Invocation } from "./offline/session.ts";
import { registerUserCommands } from "./commands/user-commands.ts";
import { errorEvent, renderError, toHoldfastError } from "./output/error-report.ts";
import type { RunCommand } from "./run-command.ts";
import { asksForJson, usageError } from "./usage-error.ts";

/** Runs one command line (without the program's name) and returns its exit code. Never throws, never exits. */
export async function runCli(argv: readonly string[], host: CliHost, composition: Composition): Promise<number> {
  let exitCode = 0;
  let verbose = false;
  let format: string | undefined;
  const run: RunCommand =
    <Options, Args extends (string | undefined)[]>(
      action: (invocation: Invocation, options: Options, ...args: Args) => Promise<number>,
    ) =>
    async (...given: unknown[]) => {
      const command = given.at(-1);
      if (!(command instanceof Command)) throw new TypeError("commander hands in the command last");
      const all: GlobalOptions & { readonly format?: string } = globalOptions(command);
      const options: GlobalOptions = { ...all, interaction: all.interaction && !all.quiet };
      verbose = options.verbose;
      format = all.format;
      // Commander hands in the arguments, the options and the command.
      const args = given.slice(0, -2) as Args;
      exitCode = await action(
        { host, composition, options, json: format === "json" },
        command.opts() as Options,
        ...args,
      );
    };

  const program = buildProgram(host, composition, run);
  if (argv[0] === completeWord) {
    const found = await completeWords(program, argv.slice(1), { host, composition, json: false });
    host.stdout.write(found.map((word) => `${word}\n`).join(""));
    return 0;
  }
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (error) {
    // Help and version, which commander has printed; help also for a command line without a command.
    if (error instanceof CommanderError && (error.exitCode === 0 || error.code === "commander.help")) {
      return error.exitCode;
    }
    const shown = error instanceof CommanderError ? usageError(error, program, argv) : toHoldfastError(error);
    host.stderr.write(
      format === "json" || (format === undefined && asksForJson(argv))
        ? `${JSON.stringify(errorEvent(shown))}\n`
        : renderError(shown, { colour: usesColour(host.stderr, host.env), verbose }),
    );
    return shown.info.exit;
  }
}

function buildProgram(host: CliHost, composition: Composition, run: RunCommand): Command {
  const program = new Command("holdfast");
  // Before any subcommand, which take these settings over.
  program
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void host.stdout.write(text),
      writeErr: (text) => void host.stderr.write(text),
      // Told with all other errors, in their form.
      outputError: () => undefined,
      getOutHelpWidth: () => host.stdout.columns ?? 80,
      getErrHelpWidth: () => host.stderr.columns ?? 80,
      getOutHasColors: () => usesColour(host.stdout, host.env),
      getErrHasColors: () => usesColour(host.stderr, host.env),
    })
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .description("Backs up and restores whole application environments, as one backup taken at one moment.")
    .version(composition.version, "-V, --version")
    .showSuggestionAfterError();
  addGlobalOptions(program);

  registerInit(program, run);
  registerServe(program, run);
  registerGateway(program, run);
  registerBackupCreate(program, run);
  registerBackupList(program, run);
  registerBackupGet(program, run);
  registerBackupDelete(program, run);
  registerBackupRestore(program, run);
  registerBackupFiles(program, run);
  registerBackupDownload(program, run);
  registerDbDump(program, run);
  registerMountDownload(program, run);
  registerRepositoryCommands(program, run);
  registerRepoStats(program, run);
  registerRepoPrune(program, run);
  registerRepoRepair(program, run);
  registerKeyCommands(program, run);
  registerCatalogCommands(program, run);
  registerEnvironmentCommands(program, run);
  registerActivityCommands(program, run);
  registerCurlCommands(program, run);
  registerSettingsCommands(program, run);
  registerLoginCommands(program, run);
  registerCompletion(program, run);
  registerUserCommands(program, run);
  return program;
}
