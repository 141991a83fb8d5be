import { execFile } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { systemErrorCode } from "../base/index.ts";

const statusTimeoutMs = 10_000;
const objectId = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** A symbolic reference may name another one; Git itself follows five. */
const maxReferences = 5;

/**
 * The id of the commit that is checked out in a folder, or "" if it is no Git checkout or has no commit yet. Reads Git's
 * files itself (gitrepository-layout(5)), worktrees and packed references included, so Git need not be installed.
 */
export function readCommitId(root: string): string {
  const gitFolder = findGitFolder(root);
  if (gitFolder === undefined) return "";
  const shared = readText(join(gitFolder, "commondir"))?.trim();
  const commonFolder = shared === undefined ? gitFolder : resolve(gitFolder, shared);
  let value = readText(join(gitFolder, "HEAD"))?.trim();
  for (let followed = 0; value?.startsWith("ref: ") === true && followed < maxReferences; followed += 1) {
    const name = value.slice("ref: ".length).trim();
    // A name from a file: it must not lead out of the folder.
    if (name.split("/").includes("..")) return "";
    value =
      readText(join(gitFolder, name))?.trim() ??
      readText(join(commonFolder, name))?.trim() ??
      readPackedReference(commonFolder, name);
  }
  return value !== undefined && objectId.test(value) ? value : "";
}

/** The folder with HEAD: ".git" itself, or the one that a worktree's or submodule's ".git" file names. */
function findGitFolder(root: string): string | undefined {
  const path = join(root, ".git");
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if (stat.isDirectory()) return path;
  const target = /^gitdir: (.+)$/m.exec(readText(path) ?? "")?.[1];
  return target === undefined ? undefined : resolve(root, target.trim());
}

function readPackedReference(commonFolder: string, name: string): string | undefined {
  for (const line of (readText(join(commonFolder, "packed-refs")) ?? "").split("\n")) {
    const [id, reference] = line.split(" ");
    if (reference === name) return id;
  }
  return undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = systemErrorCode(error);
    if (["ENOENT", "ENOTDIR", "EISDIR", "EACCES"].includes(code ?? "")) return undefined;
    throw error;
  }
}

/**
 * Whether tracked files differ from the commit; undefined if that cannot be told (no checkout, Git not installed, or
 * it refuses or takes too long). Writes nothing into the repository, and as root runs as the repository's owner, whose
 * configuration may name programs to run.
 */
export async function isDirty(root: string, signal: AbortSignal): Promise<boolean | undefined> {
  const stat = statSync(join(root, ".git"), { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const identity = process.geteuid?.() === 0 ? { uid: stat.uid, gid: stat.gid } : {};
  const args = ["-c", "core.fsmonitor=false", "status", "--porcelain", "--untracked-files=no", "--ignore-submodules"];
  const env = { ...process.env, GIT_OPTIONAL_LOCKS: "0", GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" };
  const options = { cwd: root, env, signal, timeout: statusTimeoutMs, maxBuffer: 64 * 1024 * 1024, ...identity };
  return new Promise((settle) => {
    execFile("git", args, options, (error, stdout) => settle(error === null ? stdout.trim() !== "" : undefined));
  });
}
