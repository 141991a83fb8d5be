import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { HoldfastError, systemErrorCode, throwIfAborted } from "../../base/index.ts";
import { fileProblem } from "../../config/index.ts";
import type { CliHost, TerminalOutput } from "../host.ts";

/** @param instead the option that names a file. @throws HoldfastError INPUT_INVALID if standard output is a terminal */
export function refuseTerminal(host: CliHost, what: string, instead: string): void {
  if (host.stdout.isTTY !== true) return;
  throw new HoldfastError("INPUT_INVALID", `${what} is not written to a terminal.`, {
    remedy: `Name a file with ${instead}, or send standard output somewhere else.`,
  });
}

/** Whether there is a file that writing would replace. @throws HoldfastError INPUT_INVALID */
export async function fileExists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return false;
    throw unwritable(file, error);
  }
}

/** Whole or not at all: written beside the file, mode 0600, and renamed when it is complete and durable. */
export async function writeToFile(
  content: AsyncIterable<Uint8Array>,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const partial = `${file}.${randomBytes(6).toString("hex")}.partial`;
  let handle: FileHandle;
  try {
    handle = await open(partial, "wx", 0o600);
  } catch (error) {
    throw unwritable(file, error);
  }
  try {
    try {
      for await (const chunk of content) {
        throwIfAborted(signal);
        await writeWhole(handle, chunk, file);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, file).catch((error: unknown) => {
      throw unwritable(file, error);
    });
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function writeWhole(handle: FileHandle, chunk: Uint8Array, file: string): Promise<void> {
  try {
    let offset = 0;
    while (offset < chunk.length) offset += (await handle.write(chunk, offset)).bytesWritten;
  } catch (error) {
    throw unwritable(file, error);
  }
}

/** No faster than it is taken. @throws HoldfastError INTERRUPTED also if nobody takes it any more */
export async function writeToStream(
  content: AsyncIterable<Uint8Array>,
  stream: TerminalOutput,
  signal: AbortSignal,
): Promise<void> {
  for await (const chunk of content) {
    throwIfAborted(signal);
    if (stream.write(chunk)) continue;
    await new Promise<void>((proceed, fail) => {
      const done = (act: () => void) => (): void => {
        stream.off("drain", onDrain);
        stream.off("close", onClose);
        signal.removeEventListener("abort", onAbort);
        act();
      };
      const onDrain = done(proceed);
      const onClose = done(() => fail(new HoldfastError("INTERRUPTED", "Standard output was closed.")));
      const onAbort = done(() => fail(new HoldfastError("INTERRUPTED", "The download was interrupted.")));
      stream.once("drain", onDrain);
      stream.once("close", onClose);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}

/** @param file also a folder */
export function unwritable(file: string, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  if (systemErrorCode(error) === "ENOSPC" || systemErrorCode(error) === "EDQUOT") {
    return new HoldfastError("TARGET_FULL", `There is no room left for ${file}. What was written has been removed.`, {
      facts: { file },
      cause: error,
    });
  }
  return new HoldfastError("INPUT_INVALID", `${file} cannot be written: ${fileProblem(error)}.`, {
    facts: { file },
    remedy: `Look at the folder ${dirname(file)}.`,
    cause: error,
  });
}
