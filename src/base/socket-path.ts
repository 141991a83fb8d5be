import { createHash } from "node:crypto";
import { once } from "node:events";
import { lstat, mkdir, rmdir, stat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import path from "node:path";
import { HoldfastError, systemErrorCode } from "./errors.ts";

// unix(7): sun_path has 108 bytes, the last of them NUL.
const longestSocketPath = 107;

/**
 * Where a control socket of a state folder is: `<state>/<names>`. A path too long for a socket is replaced by
 * `/tmp/holdfast-<uid of the state folder's owner>/<hash of the path>.sock`, so that the process that listens and its clients
 * find the same one whatever their own users and TMPDIR are. @throws HoldfastError STATE_UNUSABLE
 */
export async function socketPath(stateDirectory: string, ...names: readonly string[]): Promise<string> {
  const full = path.join(path.resolve(stateDirectory), ...names);
  if (Buffer.byteLength(full) <= longestSocketPath) return full;
  const hash = createHash("sha256").update(full).digest("hex").slice(0, 32);
  try {
    const { uid } = await stat(stateDirectory);
    return `/tmp/holdfast-${uid}/${hash}.sock`;
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw folderUnusable(stateDirectory, error);
    return `/tmp/holdfast-${process.getuid?.() ?? 0}/${hash}.sock`;
  }
}

/** Where the server on a state folder listens for commands on the same machine. @throws HoldfastError STATE_UNUSABLE */
export const serverSocketPath = (stateDirectory: string): Promise<string> => socketPath(stateDirectory, "server.sock");

/**
 * Makes the folder of a control socket, mode 0700.
 * @throws HoldfastError STATE_UNUSABLE if it cannot be made, or somebody else could reach into it
 */
export async function makeSocketFolder(socket: string): Promise<void> {
  const folder = path.dirname(socket);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // In /tmp anybody may have made it first: only a folder of our own that nobody else enters will do.
    const facts = await lstat(folder);
    const uid = process.getuid?.() ?? 0;
    if (facts.isDirectory() && (facts.uid === uid || uid === 0) && (facts.mode & 0o077) === 0) return;
  } catch (error) {
    throw folderUnusable(folder, error);
  }
  throw new HoldfastError("STATE_UNUSABLE", `The folder ${folder} is open to other users or belongs to one.`, {
    facts: { folder },
    remedy: `Remove it, or make it yours alone: chmod 700 ${folder}`,
  });
}

/** Removes the folder below /tmp that stood in for one with too long a path, unless other sockets are there. */
export async function removeFallbackFolder(socket: string): Promise<void> {
  const folder = path.dirname(socket);
  if (!/^\/tmp\/holdfast-\d+$/.test(folder)) return;
  try {
    await rmdir(folder);
  } catch (error) {
    if (!["ENOTEMPTY", "ENOENT"].includes(systemErrorCode(error) ?? "")) throw folderUnusable(folder, error);
  }
}

/**
 * Removes the socket of a process that was killed. False if one still listens there.
 * @throws HoldfastError STATE_UNUSABLE
 */
export async function removeStaleSocket(socket: string): Promise<boolean> {
  const probe = connect(socket);
  try {
    await once(probe, "connect");
    return false;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT") return true;
    if (code !== "ECONNREFUSED") throw socketUnusable(socket, error);
  } finally {
    probe.destroy();
  }
  await unlink(socket);
  return true;
}

/** The control socket cannot be made or used. */
export function socketUnusable(socket: string, cause: unknown): HoldfastError {
  return new HoldfastError("STATE_UNUSABLE", `The control socket ${socket} cannot be used.`, {
    facts: { socket, reason: systemErrorCode(cause) ?? "" },
    remedy: "Check that the state folder exists and that you may write to it.",
    cause,
  });
}

function folderUnusable(folder: string, cause: unknown): HoldfastError {
  return new HoldfastError("STATE_UNUSABLE", `The folder ${folder} cannot be used: ${String(cause)}`, {
    facts: { folder },
    remedy: "Check that it exists and that you may write to it.",
    cause,
  });
}
