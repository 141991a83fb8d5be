import { type Command, Option } from "commander";
import type { Logger } from "../../base/index.ts";
import { StreamLogger } from "../output/stream-logger.ts";
import type { RunCommand } from "../run-command.ts";
import { declaredProjects } from "./declared-projects.ts";
import { type Invocation, openConfig, say } from "./session.ts";

const roles = ["all", "api", "worker"] as const;
type Role = (typeof roles)[number];

export function registerServe(program: Command, run: RunCommand): void {
  program
    .command("serve")
    .description("Serve the API and work on activities until it is stopped")
    .addOption(new Option("--role <role>", "what this process does").choices(roles).default("all"))
    .action(run((invocation, options: { readonly role: Role }) => serve(invocation, options.role)));
}

async function serve(given: Invocation, role: Role): Promise<number> {
  const { composition, host } = given;
  // What nobody watches is read by programs.
  const invocation = { ...given, json: given.json || host.stderr.isTTY !== true };
  const config = await openConfig(invocation);
  await composition.createState(config);
  const catalog = await composition.openCatalog(config);
  const failed = new AbortController();
  const running = { signal: AbortSignal.any([host.signal, failed.signal]), log: serverLog(invocation) };
  const tasks: Promise<void>[] = [];
  try {
    // A worker's configuration may have some of the environments only.
    await catalog.projects.declare(declaredProjects(config), { complete: role !== "worker" });
    if (role !== "worker") {
      tasks.push(
        composition.runApi(config, catalog, {
          ...running,
          onListening: (url, setupLink) => {
            say(invocation, `Listening on ${url}.`);
            if (setupLink === undefined) return;
            say(
              invocation,
              `There is no administrator yet. Whoever opens this link first becomes one (valid for 24 hours, until it is used, or until the next start):  ${setupLink}`,
            );
          },
        }),
      );
    }
    if (role !== "api") {
      tasks.push(
        composition.runWorker(config, catalog, {
          ...running,
          onReady: () => say(invocation, `Working on the activities of ${config.stateDirectory}.`),
        }),
      );
    }
    await Promise.all(tasks);
  } finally {
    // What one of them fails with ends the other.
    failed.abort();
    await Promise.allSettled(tasks);
    await catalog.close();
  }
  say(invocation, "Stopped.");
  return 0;
}

function serverLog({ host, options, json }: Invocation): Logger {
  const lowest = options.verbose ? "debug" : options.quiet ? "warn" : "info";
  return new StreamLogger(host.stderr, lowest, { json, clock: host.clock });
}
