// The command line: commands, options, questions, output, exit codes. It runs without `process`: streams, environment and
// the making of concrete things are handed in. It knows no driver and no backend.
export type { CliHost, TerminalInput, TerminalOutput } from "./host.ts";
export type { Composition, InitOutcome, RepositoryPlace } from "./offline/composition.ts";
export { runCli } from "./program.ts";
