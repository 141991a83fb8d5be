import type { Command } from "commander";

/** Options that every command takes. */
export interface GlobalOptions {
  readonly config?: string;
  readonly project?: string;
  readonly environment?: string;
  readonly yes: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** False after --no-interaction. */
  readonly interaction: boolean;
}

export function addGlobalOptions(program: Command): void {
  program
    .option("-c, --config <file>", "configuration file (default: ./holdfast.yaml, then $HOLDFAST_CONFIG)")
    .option("-p, --project <id>", "project (default: the only one)")
    .option("-e, --environment <id>", "environment (default: the only production one)")
    .option("-y, --yes", "answer yes to every question", false)
    .option("-q, --quiet", "print data and errors only; asks nothing", false)
    .option("-v, --verbose", "print details", false)
    .option("--no-interaction", "ask nothing");
}

export function globalOptions(command: Command): GlobalOptions {
  return command.optsWithGlobals();
}
