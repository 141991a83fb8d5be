import { createHash } from "node:crypto";
import { lstat, mkdir, rmdir, stat } from "node:fs/promises";
import path from "node:path";
import { HoldfastError, systemErrorCode } from "../../base/index.ts";

// unix(7): sun_path has 108 bytes, the last of them NUL.
const longestSocketPath = 107;

/**
 * Where the control socket of an environment's gateway is: `<state>/gateway/<project>.<environment>.sock`. A path too
 * long for a socket is replaced by `/tmp/holdfast-<uid of the state folder's owner>/<hash of the path>.sock`, so that
 * the gateway and its clients find the same one whatever their own users and TMPDIR are.
 */
export async function controlSocketPath(stateDirectory: string, project: string, environment: string): Promise<string> {
  const full = path.join(path.resolve(stateDirectory), "gateway", `${project}.${environment}.sock`);
  if (Buffer.byteLength(full) <= longestSocketPath) return full;
  const hash = createHash("sha256").update(full).digest("hex").slice(0, 32);
  try {
    const { uid } = await stat(stateDirectory);
    return `/tmp/holdfast-${uid}/${hash}.sock`;
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw stateUnusable(stateDirectory, error);
    return `/tmp/holdfast-${process.getuid?.() ?? 0}/${hash}.sock`;
  }
}

/**
 * Makes the folder of a control socket, mode 0700.
 * @throws HoldfastError STATE_UNUSABLE if it cannot be made, or somebody else could reach into it
 */
export async function makeSocketFolder(socketPath: string): Promise<void> {
  const folder = path.dirname(socketPath);
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // In /tmp anybody may have made it first: only a folder of our own that nobody else enters will do.
    const facts = await lstat(folder);
    const uid = process.getuid?.() ?? 0;
    if (facts.isDirectory() && (facts.uid === uid || uid === 0) && (facts.mode & 0o077) === 0) return;
  } catch (error) {
    throw stateUnusable(folder, error);
  }
  throw new HoldfastError("STATE_UNUSABLE", `The folder ${folder} is open to other users or belongs to one.`, {
    facts: { folder },
    remedy: `Remove it, or make it yours alone: chmod 700 ${folder}`,
  });
}

/** Removes the folder below /tmp that stood in for one with too long a path, unless other gateways have sockets there. */
export async function removeFallbackFolder(socketPath: string): Promise<void> {
  const folder = path.dirname(socketPath);
  if (!/^\/tmp\/holdfast-\d+$/.test(folder)) return;
  try {
    await rmdir(folder);
  } catch (error) {
    if (!["ENOTEMPTY", "ENOENT"].includes(systemErrorCode(error) ?? "")) throw stateUnusable(folder, error);
  }
}

function stateUnusable(folder: string, cause: unknown): HoldfastError {
  return new HoldfastError("STATE_UNUSABLE", `The folder ${folder} cannot be used: ${String(cause)}`, {
    facts: { folder },
    remedy: "Check that it exists and that you may write to it.",
    cause,
  });
}
