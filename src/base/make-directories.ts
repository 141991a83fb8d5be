import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { systemErrorCode } from "./errors.ts";

/**
 * Makes the directory and those above it that are missing; returns true if it was not there. Node's own recursive mkdir
 * tries for ever where a file system answers ENOENT below a directory that exists, as /proc does.
 * @throws system errors; ENOTDIR where something else is at the path
 */
export async function makeDirectories(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "EEXIST" || code === "EISDIR") {
      if ((await stat(path)).isDirectory()) return false;
      throw Object.assign(new Error(`${path} is not a directory`, { cause: error }), { code: "ENOTDIR" });
    }
    if (code !== "ENOENT" || dirname(path) === path) throw error;
  }
  await makeDirectories(dirname(path), mode);
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "EEXIST") return false;
    throw error;
  }
}
