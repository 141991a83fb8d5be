import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { formatBytes, HoldfastError, systemErrorCode, throwIfAborted } from "../../base/index.ts";
import { fileProblem } from "../../config/index.ts";
import { planeEnvironment } from "../choose.ts";
import type { BackupArchive } from "../control-plane.ts";
import { openControlPlane } from "../open-control-plane.ts";
import type { TerminalOutput } from "../host.ts";
import { formatCount } from "../output/moment.ts";
import { printableBytes } from "../output/printable.ts";
import { TaskProgress } from "../progress/task-progress.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
import { type Invocation, say } from "../offline/session.ts";
import { collectSelections, pathInBackup, type SourceSelection } from "./source-selection.ts";
import { warningsExit } from "./warnings.ts";

interface DownloadOptions {
  readonly output: string;
  readonly only?: readonly SourceSelection[];
}

export function registerBackupDownload(program: Command, run: RunCommand): void {
  program
    .command("backup:download")
    .description("Write a backup as a tar archive, by default the newest")
    .argument("[id]", "the backup, or latest")
    .requiredOption("-o, --output <file>", 'the file to write, "-" for standard output')
    .option(
      "--only <source[:path]>",
      "only this component, or a path in it: service:db, mount:app/media:2026/01 (may be repeated)",
      collectSelections,
    )
    .action(run((invocation, options: DownloadOptions, id?: string) => download(invocation, options, id)));
}

async function download(invocation: Invocation, options: DownloadOptions, id: string | undefined): Promise<number> {
  const { host } = invocation;
  const toStdout = options.output === "-";
  const file = resolve(host.cwd, options.output);
  if (toStdout && host.stdout.isTTY === true) {
    throw new HoldfastError("INPUT_INVALID", "An archive is not written to a terminal.", {
      remedy: "Name a file with -o FILE, or send standard output somewhere else.",
    });
  }
  await using plane = await openControlPlane(invocation);
  const environment = await planeEnvironment(plane, invocation.options);
  const backup = await plane.findBackup(environment.id, id);
  if (!toStdout && (await exists(file))) {
    say(invocation, `${file} exists and will be replaced.`);
    if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;
  }
  const { only } = options;
  const paths = only === undefined ? [Buffer.alloc(0)] : only.map((selection) => pathInBackup(backup, selection));
  const progress = new TaskProgress(host, invocation.options, "download");
  let archive: BackupArchive;
  try {
    archive = await plane.backupArchive(backup, paths, (bytes) =>
      progress.show(bytes, Math.max(backup.sizeBytes, bytes)),
    );
    if (toStdout) await writeToStream(archive.bytes, host.stdout, host.signal);
    else await writeToFile(archive.bytes, file, host.signal);
  } finally {
    progress.finish();
  }
  const place = toStdout ? "standard output" : file;
  const summary = archive.summary();
  if (summary === undefined) {
    say(invocation, `Wrote ${backup.id} to ${place}.`);
    return 0;
  }
  const { entries, bytes, skipped } = summary;
  for (const path of skipped)
    say(invocation, `Warning: left out, since an archive holds no sockets: ${printableBytes(path)}`);
  say(
    invocation,
    `Wrote ${formatCount(entries, "entry").replace(/entrys$/, "entries")}, ${formatBytes(bytes)}, of ${backup.id} to ${place}.`,
  );
  return warningsExit(invocation, skipped.length, undefined);
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return false;
    throw unwritable(file, error);
  }
}

/** Whole or not at all: written beside the file, mode 0600, and renamed when it is complete and durable. */
async function writeToFile(archive: AsyncIterable<Uint8Array>, file: string, signal: AbortSignal): Promise<void> {
  const partial = `${file}.${randomBytes(6).toString("hex")}.partial`;
  let handle: FileHandle;
  try {
    handle = await open(partial, "wx", 0o600);
  } catch (error) {
    throw unwritable(file, error);
  }
  try {
    try {
      for await (const chunk of archive) {
        throwIfAborted(signal);
        await writeWhole(handle, chunk, file);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, file);
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

async function writeToStream(
  archive: AsyncIterable<Uint8Array>,
  stream: TerminalOutput,
  signal: AbortSignal,
): Promise<void> {
  for await (const chunk of archive) {
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

function unwritable(file: string, error: unknown): HoldfastError {
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
