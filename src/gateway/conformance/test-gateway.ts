import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { silentLogger } from "../../base/index.ts";
import { TestApplication } from "./test-application.ts";
import { type BuiltinGatewayConfig, gatewayConfigSchema } from "../gateway-config.ts";
import { BuiltinGateway } from "../builtin/builtin-gateway.ts";
import { type GatewayProcess, startGatewayProcess } from "../builtin/gateway-process.ts";

/** A gateway in this process, with an application behind it, for tests. */
export interface TestGateway extends AsyncDisposable {
  readonly application: TestApplication;
  readonly gateway: BuiltinGateway;
  readonly process: GatewayProcess;
  readonly port: number;
  readonly url: string;
  readonly socketPath: string;
}

/** Starts both on free ports; `settings` are configuration keys as people write them. */
export async function startTestGateway(settings: Readonly<Record<string, unknown>> = {}): Promise<TestGateway> {
  const folder = await mkdtemp(path.join(tmpdir(), "holdfast-gateway-"));
  const application = await TestApplication.start();
  const socketPath = path.join(folder, "control", "gateway.sock");
  const process = await startGatewayProcess({
    config: builtinConfig({ upstream: application.url, ...settings }),
    controlSocketPath: socketPath,
    log: silentLogger,
  });
  const { port } = process.address;
  return {
    application,
    gateway: new BuiltinGateway(socketPath),
    process,
    port,
    url: `http://127.0.0.1:${port}`,
    socketPath,
    [Symbol.asyncDispose]: async () => {
      await process.stop(0);
      await application.stop();
      await rm(folder, { recursive: true });
    },
  };
}

export function builtinConfig(settings: Readonly<Record<string, unknown>>): BuiltinGatewayConfig {
  const config = gatewayConfigSchema.parse({ type: "builtin", listen: "127.0.0.1:0", ...settings });
  if (config.type !== "builtin") throw new TypeError("not a built-in gateway");
  return config;
}
