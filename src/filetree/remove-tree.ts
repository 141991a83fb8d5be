import { chmodSync, constants, lstatSync, rmdirSync, unlinkSync } from "node:fs";
import { HoldfastError, systemErrorCode } from "../base/index.ts";
import { LoopBreather } from "./event-loop.ts";
import { isGone } from "./scan.ts";
import { TreeDirectory } from "./tree-directory.ts";

interface Level {
  readonly name: Buffer;
  readonly directory: TreeDirectory;
  readonly names: Buffer[];
  at: number;
}

/**
 * Removes whatever is at the path, with all in it; nothing there is fine. Never follows a link, never enters another
 * file system. Memory is proportional to the names of one chain of directories.
 * @throws HoldfastError STATE_UNUSABLE if another file system is mounted in it; system errors
 */
export async function removeTree(path: Buffer): Promise<void> {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isDirectory()) {
    unlinkSync(path);
    return;
  }
  const breather = new LoopBreather();
  makeListable(path);
  const root = TreeDirectory.openRoot(path);
  const stack: Level[] = [{ name: path, directory: root, names: root.names(), at: 0 }];
  try {
    for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
      if (breather.due) await breather.breathe();
      const name = level.names[level.at];
      if (name === undefined) {
        stack.pop();
        level.directory.close();
        const parent = stack.at(-1)?.directory;
        rmdirSync(parent === undefined ? path : parent.child(level.name));
        continue;
      }
      level.at += 1;
      const child = level.directory.child(name);
      if (removeFile(level.directory, child)) continue;
      const found = level.directory.find(name);
      if (found === undefined) continue;
      if (found.dev !== stat.dev) throw mountedIn(path, name);
      makeListable(child);
      const directory = level.directory.openChild(name);
      stack.push({ name, directory, names: directory.names(), at: 0 });
    }
  } finally {
    for (const { directory } of stack) directory.close();
  }
}

/** Its owner may lack the right to list it or to take things out of it. */
function makeListable(path: Buffer): void {
  if (process.geteuid?.() === 0) return;
  try {
    if ((lstatSync(path).mode & constants.S_IRWXU) !== constants.S_IRWXU) chmodSync(path, constants.S_IRWXU);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** Returns false for a directory, which the system refuses to unlink: most entries are none, so asking first costs more. */
function removeFile(parent: TreeDirectory, child: Buffer): boolean {
  try {
    unlink(parent, child);
    return true;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT") return true;
    // POSIX says EPERM, Linux EISDIR.
    if (code === "EISDIR" || (code === "EPERM" && lstatSync(child).isDirectory())) return false;
    throw error;
  }
}

function unlink(parent: TreeDirectory, child: Buffer): void {
  try {
    unlinkSync(child);
  } catch (error) {
    if (systemErrorCode(error) !== "EACCES") throw error;
    chmodSync(parent.path, constants.S_IRWXU);
    unlinkSync(child);
  }
}

function mountedIn(path: Buffer, name: Buffer): HoldfastError {
  return new HoldfastError(
    "STATE_UNUSABLE",
    `${path.toString()} is no longer needed, but another file system is mounted in it at ${name.toString()}.`,
    {
      facts: { path: path.toString(), name: name.toString() },
      remedy: "Unmount it; then repeat the command.",
    },
  );
}
