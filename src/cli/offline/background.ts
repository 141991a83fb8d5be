import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { type BackupId, isBackupId, systemErrorCode } from "../../base/index.ts";
import type { Invocation } from "./session.ts";

const logsFolder = (stateDirectory: string): string => join(stateDirectory, "logs");

/** `state/logs/NAME.log`: what a command says that goes on in the background. */
export const backgroundLog = (stateDirectory: string, name: string): string =>
  join(logsFolder(stateDirectory), `${name}.log`);

/**
 * Starts this command once more as a process of its own, without a terminal, that was answered yes and does its work as
 * `name`. Returns the path of its log, mode 0600. All that can be asked or refused beforehand has been.
 */
export async function goOnInBackground({ host }: Invocation, stateDirectory: string, name: string): Promise<string> {
  const output = backgroundLog(stateDirectory, name);
  await mkdir(logsFolder(stateDirectory), { recursive: true, mode: 0o700 });
  await host.startInBackground({ as: name, output });
  return output;
}

/** A backup's log has nothing to say that the backup does not: it goes once the backup is complete. */
export async function removeBackgroundLog(stateDirectory: string, id: BackupId): Promise<void> {
  await rm(backgroundLog(stateDirectory, id), { force: true });
}

export interface BackgroundBackup {
  readonly id: BackupId;
  readonly startedAt: Date;
  readonly log: string;
  /** What it said last; empty if nothing yet. */
  readonly lastLines: string;
}

/** Backups that were begun in the background and are not complete: they still run, or failed. Oldest first. */
export async function unfinishedInBackground(stateDirectory: string): Promise<readonly BackgroundBackup[]> {
  const found = await Promise.all(
    (await namesIn(logsFolder(stateDirectory))).map(async (name) => {
      const id = name.replace(/\.log$/, "");
      return isBackupId(id) ? read(stateDirectory, id) : undefined;
    }),
  );
  return found.filter((one) => one !== undefined).toSorted((a, b) => a.startedAt.getTime() - b.startedAt.getTime());
}

async function read(stateDirectory: string, id: BackupId): Promise<BackgroundBackup | undefined> {
  const log = backgroundLog(stateDirectory, id);
  try {
    const [{ birthtime }, text] = await Promise.all([stat(log), readFile(log, "utf8")]);
    return { id, startedAt: birthtime, log, lastLines: text.trimEnd().split("\n").slice(-3).join("\n") };
  } catch (error) {
    // Complete in this moment.
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}
