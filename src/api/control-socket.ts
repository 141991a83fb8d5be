import { once } from "node:events";
import { chmod } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import {
  HoldfastError,
  type Logger,
  makeSocketFolder,
  removeFallbackFolder,
  removeStaleSocket,
  socketUnusable,
} from "../base/index.ts";
import type { User, UserId } from "../control/index.ts";

export interface ControlSocketOptions {
  /** Absolute; in a folder that only the account that the server runs as may enter. */
  readonly path: string;
  /** What the audit trail calls who asks there: "command line on db-1". */
  readonly owner: string;
}

export interface ControlSocket {
  readonly server: Server;
  readonly owner: User;
  /** After the server has closed. */
  cleanUp(): Promise<void>;
}

/**
 * Listens for commands on this machine. Who can open the socket, mode 0600 in a folder of mode 0700, is root or the account
 * that the server runs as: they have the configuration, the repository's key and the catalog as it is, so they may do
 * everything here, too. Undefined where another server on this state has it already.
 * @throws HoldfastError STATE_UNUSABLE
 */
export async function openControlSocket(
  { path, owner }: ControlSocketOptions,
  log: Logger,
): Promise<ControlSocket | undefined> {
  await makeSocketFolder(path);
  if (!(await removeStaleSocket(path))) {
    log.warn("Another server has this state's control socket: commands on this machine are its clients", { path });
    return undefined;
  }
  const server = createServer();
  try {
    server.listen(path);
    await once(server, "listening");
    await chmod(path, 0o600);
  } catch (error) {
    server.close();
    throw error instanceof HoldfastError ? error : socketUnusable(path, error);
  }
  return { server, owner: localOwner(owner), cleanUp: () => removeFallbackFolder(path) };
}

/** Nobody's account: it has no password, no token and no row in the catalog. */
function localOwner(name: string): User {
  return {
    id: "local" as UserId,
    kind: "machine",
    email: name,
    displayName: name,
    administrator: true,
    hasPassword: false,
    createdAt: new Date(0),
    updatedAt: new Date(0),
  };
}
