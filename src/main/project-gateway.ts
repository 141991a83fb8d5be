import { once } from "node:events";
import { HoldfastError } from "../base/index.ts";
import type { Composition } from "../cli/index.ts";
import { controlSocketPath, startGatewayProcess } from "../gateway/index.ts";

/** Runs the environment's built-in gateway until the signal is aborted, then lets running requests finish. */
export const runProjectGateway: Composition["runGateway"] = async (config, project, environment, options) => {
  const gateway = environment.gateway;
  if (gateway?.type !== "builtin") {
    const found = gateway === undefined ? "has no gateway" : `has a gateway of type ${gateway.type}`;
    throw new HoldfastError("CONFIG_INVALID", `The environment ${environment.id} ${found}, so there is none to run.`, {
      facts: { environment: environment.id },
      remedy: "Give it one in the configuration:  gateway: { type: builtin, listen: ..., upstream: ... }",
    });
  }
  const running = await startGatewayProcess({
    config: gateway,
    controlSocketPath: await controlSocketPath(config.stateDirectory, project.id, environment.id),
    log: options.log,
  });
  const { host, port } = running.address;
  options.onListening(`${host.includes(":") ? `[${host}]` : host}:${port}`);
  if (!options.signal.aborted) await once(options.signal, "abort");
  await running.stop();
};
