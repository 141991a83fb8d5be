import { readdirSync, readFileSync } from "node:fs";
import { systemErrorCode } from "../../base/index.ts";

/**
 * Files below a folder that some process has mapped into its memory, shared and writable (proc_pid_maps(5)): paths below
 * it as latin1 text. Writes to them change neither their times nor raise an event. Other users' processes are seen only
 * by root, and processes in another mount namespace only if the folder has the same path there.
 */
export function mappedFiles(root: Buffer): ReadonlySet<string> {
  const prefix = `${root.toString("latin1")}/`;
  const found = new Set<string>();
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    let maps: string;
    try {
      maps = readFileSync(`/proc/${pid}/maps`, "latin1");
    } catch (error) {
      // Ended meanwhile, or another user's.
      if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(systemErrorCode(error) ?? "")) continue;
      throw error;
    }
    if (!maps.includes(prefix)) continue;
    for (const line of maps.split("\n")) {
      const path = /^\S+ .w.s \S+ \S+ \d+ +(.*)$/.exec(line)?.[1];
      if (path?.startsWith(prefix) !== true || path.endsWith(" (deleted)")) continue;
      found.add(unescapeNewlines(path.slice(prefix.length)));
    }
  }
  return found;
}

const unescapeNewlines = (path: string): string => path.replaceAll("\\012", "\n");
