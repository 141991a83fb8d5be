import { socketPath } from "../../base/index.ts";

/** Where the control socket of an environment's gateway is: `<state>/gateway/<project>.<environment>.sock`, or what stands in for it. */
export const controlSocketPath = (stateDirectory: string, project: string, environment: string): Promise<string> =>
  socketPath(stateDirectory, "gateway", `${project}.${environment}.sock`);
