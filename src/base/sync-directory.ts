import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { systemErrorCode } from "./errors.ts";

/** Makes new, renamed and removed names in a folder survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } catch (error) {
    // Some network file systems cannot, and need not.
    const code = systemErrorCode(error);
    if (code !== "EINVAL" && code !== "ENOTSUP" && code !== "EOPNOTSUPP") throw error;
  }
}
