import { type Command, Option } from "commander";
import type { RunCommand } from "../run-command.ts";
import { declaredProjects } from "./declared-projects.ts";
import { type Invocation, logOf, openConfig, say } from "./session.ts";

export function registerServe(program: Command, run: RunCommand): void {
  program
    .command("serve")
    .description("Work on activities until it is stopped")
    .addOption(new Option("--role <role>", "what this process does").choices(["all", "worker"]).default("all"))
    .action(run((invocation, options: { readonly role: "all" | "worker" }) => serve(invocation, options.role)));
}

async function serve(invocation: Invocation, role: "all" | "worker"): Promise<number> {
  const { composition, host } = invocation;
  const config = await openConfig(invocation);
  await composition.createState(config);
  const catalog = await composition.openCatalog(config);
  try {
    // A worker's configuration may have some of the environments only.
    await catalog.projects.declare(declaredProjects(config), { complete: role === "all" });
    await composition.runWorker(config, catalog, {
      signal: host.signal,
      log: logOf(invocation),
      onReady: () => say(invocation, `Working on the activities of ${config.stateDirectory}.`),
    });
  } finally {
    await catalog.close();
  }
  say(invocation, "Stopped.");
  return 0;
}
