// The gateway as `holdfast gateway` runs it, for the benchmark. Arguments: upstream URL, control socket. Prints its port.
import { silentLogger } from "../../src/base/index.ts";
import { gatewayConfigSchema, startGatewayProcess } from "../../src/gateway/index.ts";

const [upstream = "", controlSocketPath = ""] = process.argv.slice(2);
const config = gatewayConfigSchema.parse({ type: "builtin", listen: "127.0.0.1:0", upstream });
if (config.type !== "builtin") throw new TypeError("not a built-in gateway");
const gateway = await startGatewayProcess({ config, controlSocketPath, log: silentLogger });
process.stdout.write(`${gateway.address.port}\n`);
process.once("SIGTERM", () => void gateway.stop(0));
