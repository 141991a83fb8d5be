import { lstat, stat } from "node:fs/promises";
import { HoldfastError, isHoldfastError, serverSocketPath, systemErrorCode } from "../../base/index.ts";
import type { ApiClient, ServerAddress } from "../../client/index.ts";
import type { Config } from "../../config/index.ts";
import { type Invocation, say } from "../offline/session.ts";

/** The server that HOLDFAST_SERVER names; undefined if it names none. @throws HoldfastError INPUT_INVALID */
export async function namedServer(invocation: Invocation): Promise<ApiClient | undefined> {
  const { host } = invocation;
  const url = host.env["HOLDFAST_SERVER"] ?? "";
  if (url === "") return undefined;
  const { parseServerUrl } = await import("../../client/index.ts");
  const address = parseServerUrl(url);
  if (address.kind !== "url") throw new TypeError("what is named by a URL has one");
  await warnIfUnencrypted(invocation, address);
  const { signedInClient } = await import("./signed-in-client.ts");
  return signedInClient(host, address, host.env["HOLDFAST_TOKEN"] ?? "");
}

export async function warnIfUnencrypted(invocation: Invocation, address: ServerAddress): Promise<void> {
  const { isUnencrypted } = await import("../../client/index.ts");
  if (address.kind !== "url" || !isUnencrypted(address)) return;
  say(invocation, `Warning: the way to ${address.url} is not encrypted: others can read what is sent.`);
}

/**
 * The server that runs on the configuration's state folder; undefined if none does.
 * @throws HoldfastError STATE_UNUSABLE if something else has its socket; SERVER_UNREACHABLE if it is there and does not answer
 */
export async function serverOnState({ host }: Invocation, config: Config): Promise<ApiClient | undefined> {
  const path = await serverSocketPath(config.stateDirectory);
  if (!(await isOurSocket(path, config.stateDirectory))) return undefined;
  // Loads what speaks HTTP, which other commands have no use of.
  const { ApiClient } = await import("../../client/index.ts");
  const address: ServerAddress = { kind: "socket", path };
  const client = new ApiClient({ address, signal: host.signal });
  try {
    await client.call("getHealth", { parameters: {} });
    return client;
  } catch (error) {
    // Left by one that was killed, or removed in this moment.
    const gone =
      isHoldfastError(error, "SERVER_UNREACHABLE") && ["ECONNREFUSED", "ENOENT"].includes(String(error.facts["code"]));
    if (gone) return undefined;
    throw error;
  }
}

/** False if there is none. One of another account, where the path is in /tmp, might lie. @throws HoldfastError STATE_UNUSABLE */
async function isOurSocket(path: string, stateDirectory: string): Promise<boolean> {
  try {
    const [socket, state] = await Promise.all([lstat(path), stat(stateDirectory)]);
    if (socket.uid === state.uid || socket.uid === 0) return true;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ENOTDIR") return false;
    throw new HoldfastError("STATE_UNUSABLE", `The control socket ${path} cannot be looked at.`, {
      facts: { path, code: systemErrorCode(error) ?? "" },
      remedy: `Run it as the user that owns ${stateDirectory}, or as root.`,
      cause: error,
    });
  }
  throw new HoldfastError(
    "STATE_UNUSABLE",
    `The control socket ${path} belongs to another account than the state folder.`,
    {
      facts: { path },
      remedy: "Find out who made it, and remove it.",
    },
  );
}
