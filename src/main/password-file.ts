import { randomBytes } from "node:crypto";
import { readFile, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { HoldfastError, makeDirectories, syncDirectory, systemErrorCode, writePrivateFile } from "../base/index.ts";
import { fileProblem } from "../config/index.ts";

const longestBytes = 4096;

/** The repository's password: the file's first line. @throws HoldfastError CONFIG_INVALID; undefined if there is none */
export async function readPasswordFile(file: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw new HoldfastError("CONFIG_INVALID", `The password file ${file} cannot be read: ${fileProblem(error)}.`, {
      facts: { file },
      cause: error,
    });
  }
  const password = text.split(/\r?\n/, 1)[0] ?? "";
  if (password === "" || Buffer.byteLength(text) > longestBytes) {
    throw new HoldfastError("CONFIG_INVALID", `The password file ${file} does not hold a password.`, {
      facts: { file },
      remedy: "Its first line is the password. Put the file back from where you keep a copy.",
    });
  }
  return password;
}

/** 256 random bits as text. */
export function newPassword(): string {
  return randomBytes(32).toString("base64url");
}

/** Makes the file with a new password, mode 0600, whole or not at all. False if it is there already. */
export async function createPasswordFile(file: string): Promise<boolean> {
  if ((await readPasswordFile(file)) !== undefined) return false;
  await writePasswordFile(file, newPassword());
  return true;
}

/** Writes a password into the file, mode 0600, whole or not at all, in place of what was there. @throws STATE_UNUSABLE */
export async function writePasswordFile(file: string, password: string): Promise<void> {
  try {
    await makeDirectories(dirname(file), 0o700);
    await writePrivateFile(file, `${password}\n`);
  } catch (error) {
    throw new HoldfastError("STATE_UNUSABLE", `The password file ${file} cannot be made: ${fileProblem(error)}.`, {
      facts: { file },
      cause: error,
    });
  }
}

/** @throws HoldfastError STATE_UNUSABLE; that there is none is no error */
export async function removePasswordFile(file: string): Promise<void> {
  try {
    await rm(file, { force: true });
    await syncDirectory(dirname(file));
  } catch (error) {
    throw new HoldfastError("STATE_UNUSABLE", `The file ${file} cannot be removed: ${fileProblem(error)}.`, {
      facts: { file },
      cause: error,
    });
  }
}

/** What is wrong with who may read the file; undefined if nothing, or if there is no such file. */
export async function passwordFileWarning(file: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(file);
    if ((mode & 0o077) === 0) return undefined;
    const shown = (mode & 0o777).toString(8).padStart(4, "0");
    return `other users can read the password file ${file} (mode ${shown}). Close it:  chmod 600 ${file}`;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw new HoldfastError("CONFIG_INVALID", `The password file ${file} cannot be reached: ${fileProblem(error)}.`, {
      facts: { file },
      cause: error,
    });
  }
}
