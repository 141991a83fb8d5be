import { HoldfastError } from "../base/index.ts";
import type { ApiClient } from "../client/index.ts";
import type { Config } from "../config/index.ts";
import type { AccessPlane } from "./access-plane.ts";
import type { ControlPlane } from "./control-plane.ts";
import { LocalAccessPlane } from "./offline/local-access-plane.ts";
import { LocalControlPlane } from "./offline/local-control-plane.ts";
import { type Invocation, openConfig, Session } from "./offline/session.ts";
import { namedServer, serverOnState } from "./online/server-choice.ts";

/**
 * The project that the command means: of the server that HOLDFAST_SERVER names, else of the server that runs on the
 * configuration's state, else in this process.
 * @param options `needsRepository`: of one in this process, opened beside everything else; `besideServer`: in this process
 *   also where a server runs on the state
 * @throws HoldfastError SERVER_*, SIGN_IN_*, CONFIG_INVALID, PROJECT_NOT_FOUND, REPOSITORY_MISSING, STATE_UNUSABLE
 */
export async function openControlPlane(
  invocation: Invocation,
  options: { readonly needsRepository?: boolean; readonly besideServer?: boolean } = {},
): Promise<ControlPlane> {
  // What another process has begun here goes on here.
  if (invocation.host.backgroundName !== undefined) {
    return new LocalControlPlane(await Session.open(invocation, options));
  }
  const found = await findServer(invocation, options);
  if (found.client !== undefined) return remote(invocation, found.client);
  return new LocalControlPlane(await Session.open(invocation, { ...options, config: found.config }));
}

/** The users of the server, or of the configuration's catalog. @throws as `openControlPlane` */
export async function openAccessPlane(invocation: Invocation): Promise<AccessPlane> {
  const found = await findServer(invocation);
  if (found.client === undefined) return LocalAccessPlane.open(invocation, found.config);
  const { RemoteAccessPlane } = await import("./online/remote-access-plane.ts");
  return new RemoteAccessPlane(found.client);
}

/** The ids of the projects that there are: on the server, or in the configuration. @throws as `openControlPlane` */
export async function listProjects(invocation: Invocation): Promise<readonly string[]> {
  const found = await findServer(invocation);
  if (found.client === undefined) return found.config.projects.map(({ id }) => id);
  return (await found.client.call("listProjects", { parameters: {} })).map(({ id }) => id);
}

/** For what only a server can do. @throws HoldfastError SERVER_UNREACHABLE if there is none, and as `openControlPlane` */
export async function openServer(
  invocation: Invocation,
): Promise<{ readonly client: ApiClient; readonly plane: ControlPlane }> {
  const { client } = await findServer(invocation);
  if (client !== undefined) return { client, plane: await remote(invocation, client) };
  throw new HoldfastError("SERVER_UNREACHABLE", "This needs a server, and none runs on this state.", {
    remedy: "Start one (holdfast serve), or name one in HOLDFAST_SERVER.",
  });
}

/** The server, or the configuration that none runs on. */
async function findServer(
  invocation: Invocation,
  { besideServer = false }: { readonly besideServer?: boolean } = {},
): Promise<{ readonly client: ApiClient } | { readonly client: undefined; readonly config: Config }> {
  const named = await namedServer(invocation);
  if (named !== undefined) return { client: named };
  const config = await openConfig(invocation);
  const local = besideServer ? undefined : await serverOnState(invocation, config);
  return local === undefined ? { client: undefined, config } : { client: local };
}

async function remote(invocation: Invocation, client: ApiClient): Promise<ControlPlane> {
  const { RemoteControlPlane } = await import("./online/remote-control-plane.ts");
  return RemoteControlPlane.open(client, invocation);
}
