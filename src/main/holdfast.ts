import { runCli } from "../cli/index.ts";
import { LocalComposition } from "./local-composition.ts";
import { watchProcess } from "./process-host.ts";

/** The program: one command line, then the process ends with its exit code. */
export async function run(): Promise<void> {
  const { host, flush } = watchProcess();
  const exitCode = await runCli(
    process.argv.slice(2),
    host,
    new LocalComposition({ clock: host.clock, env: host.env }),
  );
  await flush();
  process.exit(exitCode);
}

if (import.meta.main) await run();
