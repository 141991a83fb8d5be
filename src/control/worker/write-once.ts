import { link, open, rm } from "node:fs/promises";
import { systemErrorCode } from "../../base/index.ts";

/** Makes a file with this text, mode 0600, whole or not at all; one that is there stays. */
export async function writeOnce(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}`;
  try {
    await using handle = await open(temporary, "w", 0o600);
    await handle.writeFile(text);
    await handle.sync();
    await link(temporary, file);
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}
