import { type Clock, type Logger, systemClock } from "../../base/index.ts";
import type { BuiltinGatewayConfig, ListenAddress } from "../gateway-config.ts";
import { ControlServer } from "./control-server.ts";

export interface GatewayProcessOptions {
  readonly config: BuiltinGatewayConfig;
  /** From `controlSocketPath`; its folder is made if missing. */
  readonly controlSocketPath: string;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** The gateway as it runs in `holdfast gateway`. */
export interface GatewayProcess {
  /** Where it listens, with the real port. */
  readonly address: ListenAddress;
  /**
   * Ends a hold, accepts no more connections, finishes the running requests, and cuts off what is left after
   * `graceMs` (default 30 s). Idempotent. For SIGTERM and Ctrl-C.
   */
  stop(graceMs?: number): Promise<void>;
}

/**
 * Starts proxying.
 * @throws HoldfastError CONFIG_INVALID if the address cannot be had, STATE_UNUSABLE, GATEWAY_BUSY if another gateway runs
 */
export async function startGatewayProcess(options: GatewayProcessOptions): Promise<GatewayProcess> {
  const { config, log } = options;
  // The HTTP server takes 25 ms to load, of which whoever only talks to a gateway has no use.
  const { ProxyServer } = await import("./proxy-server.ts");
  const proxy = new ProxyServer(config, options.clock ?? systemClock, log);
  const control = new ControlServer(options.controlSocketPath, proxy.gate, () => proxy.tunnelCount, log);
  // The socket first: nobody's requests are accepted by a gateway that could not be told to hold them.
  await control.listen();
  let address: ListenAddress;
  try {
    address = await proxy.listen();
  } catch (error) {
    await control.close();
    throw error;
  }
  log.info("The gateway is listening.", { host: address.host, port: address.port });
  let stopped: Promise<void> | undefined;
  return {
    address,
    stop: (graceMs = 30_000) => {
      stopped ??= Promise.all([control.close(), proxy.close(graceMs)]).then(() => log.info("The gateway has stopped."));
      return stopped;
    },
  };
}
