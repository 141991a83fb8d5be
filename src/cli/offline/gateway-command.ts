import type { Command } from "commander";
import { chooseEnvironment, chooseProject } from "../choose.ts";
import type { RunCommand } from "../run-command.ts";
import { type Invocation, logOf, openConfig, say } from "./session.ts";

export function registerGateway(program: Command, run: RunCommand): void {
  program
    .command("gateway")
    .description("Run an environment's built-in request gateway until it is stopped")
    .argument("[environment]", "the environment")
    .action(run((invocation, _options: unknown, environment?: string) => gateway(invocation, environment)));
}

/** Needs neither catalog nor repository, so that a site stays up whatever becomes of them. */
async function gateway(invocation: Invocation, argument: string | undefined): Promise<number> {
  const { composition, options, host } = invocation;
  const config = await openConfig(invocation);
  const project = chooseProject(config.projects, options.project);
  const environment = chooseEnvironment(project, argument ?? options.environment);
  await composition.createState(config);
  await composition.runGateway(config, project, environment, {
    signal: host.signal,
    log: logOf(invocation),
    onListening: (address) => say(invocation, `The gateway of ${environment.id} listens on ${address}.`),
  });
  say(invocation, `The gateway of ${environment.id} has stopped.`);
  return 0;
}
