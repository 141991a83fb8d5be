import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { formatBytes, HoldfastError, systemErrorCode, throwIfAborted } from "../../base/index.ts";
import { fileProblem } from "../../config/index.ts";
import { type OpenBackup, openBackup, walkBackup } from "../../engine/index.ts";
import type { TerminalOutput } from "../host.ts";
import { formatCount } from "../output/moment.ts";
import { printableBytes } from "../output/printable.ts";
import { TaskProgress } from "../progress/task-progress.ts";
import { confirm } from "../prompt.ts";
import type { RunCommand } from "../run-command.ts";
import { tarArchive, type TarPart } from "../tar/tar-archive.ts";
import { type Invocation, say, Session } from "./session.ts";
import { collectSelections, pathInBackup, type SourceSelection } from "../commands/source-selection.ts";
import { warningsExit } from "../commands/warnings.ts";

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
  await using session = await Session.open(invocation);
  const backup = await session.findBackup(session.chooseEnvironment(), id);
  if (!toStdout && (await exists(file))) {
    say(invocation, `${file} exists and will be replaced.`);
    if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;
  }
  const opened = await openBackup(await session.repository(), backup, host.signal);
  const progress = new TaskProgress(host, invocation.options, "download");
  const total = backup.sizeBytes;
  let members = 0;
  let bytes = 0;
  const skipped: Buffer[] = [];
  try {
    const archive = tarArchive(await partsOf(opened, options.only, host.signal), opened.reader, {
      signal: host.signal,
      onMember: (added) => {
        members += 1;
        bytes += added;
        progress.show(bytes, Math.max(total, bytes));
      },
      onSkipped: (path) => void skipped.push(path),
    });
    if (toStdout) await writeToStream(archive, host.stdout, host.signal);
    else await writeToFile(archive, file, host.signal);
  } finally {
    progress.finish();
    await opened.close();
  }
  for (const path of skipped)
    say(invocation, `Warning: left out, since an archive holds no sockets: ${printableBytes(path)}`);
  const place = toStdout ? "standard output" : file;
  say(
    invocation,
    `Wrote ${formatCount(members, "entry").replace(/entrys$/, "entries")}, ${formatBytes(bytes)}, of ${backup.id} to ${place}.`,
  );
  return warningsExit(invocation, skipped.length, undefined);
}

async function partsOf(
  opened: OpenBackup,
  only: readonly SourceSelection[] | undefined,
  signal: AbortSignal,
): Promise<TarPart[]> {
  const paths =
    only === undefined ? [Buffer.alloc(0)] : only.map((selection) => pathInBackup(opened.backup, selection));
  for (const path of paths) {
    // Told before a byte is written. walkBackup throws for a path that is not there, at its first entry.
    for await (const _ of walkBackup(opened, path, signal)) break;
  }
  return paths.map((path) => ({ path, entries: walkBackup(opened, path, signal) }));
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
async function writeToFile(archive: AsyncIterable<Buffer>, file: string, signal: AbortSignal): Promise<void> {
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

async function writeWhole(handle: FileHandle, chunk: Buffer, file: string): Promise<void> {
  try {
    let offset = 0;
    while (offset < chunk.length) offset += (await handle.write(chunk, offset)).bytesWritten;
  } catch (error) {
    throw unwritable(file, error);
  }
}

async function writeToStream(
  archive: AsyncIterable<Buffer>,
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
