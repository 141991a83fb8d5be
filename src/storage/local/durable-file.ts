import { link, lstat, rename, unlink } from "node:fs/promises";
import { systemErrorCode } from "../../base/index.ts";

/** What `link` answers on file systems without hard links, such as FAT and some of FUSE. */
const noHardLinks: ReadonlySet<string | undefined> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/**
 * Gives a finished temporary its name, never replacing a file that is there.
 * @throws the system's error, EEXIST if the name is taken
 */
export async function publish(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
    return;
  } catch (error) {
    if (!noHardLinks.has(systemErrorCode(error))) throw error;
  }
  // Between look and rename another writer may come: names are hashes of the bytes, so it wrote the same.
  const taken = await exists(path);
  if (taken) throw Object.assign(new Error(`EEXIST: file already exists, rename '${path}'`), { code: "EEXIST" });
  await rename(temporary, path);
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return false;
    throw error;
  }
}

/** Removes a temporary that may have been renamed already. */
export async function removeTemporary(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
}
