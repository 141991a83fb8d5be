// How an environment's requests are drained, held and released. It knows nothing of backups.
export { BuiltinGateway } from "./builtin/builtin-gateway.ts";
export type { GatewayStatus } from "./builtin/control-protocol.ts";
export { controlSocketPath } from "./builtin/control-socket-path.ts";
export { type GatewayProcess, type GatewayProcessOptions, startGatewayProcess } from "./builtin/gateway-process.ts";
export { CommandGateway, type CommandGatewayCommands } from "./command/command-gateway.ts";
export type { Gateway, Hold, HoldFigures, HoldOptions } from "./gateway.ts";
export {
  type BuiltinGatewayConfig,
  type GatewayConfig,
  gatewayConfigSchema,
  type ListenAddress,
  type UpstreamAddress,
} from "./gateway-config.ts";
