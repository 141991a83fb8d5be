import { resolve } from "node:path";
import type { Command } from "commander";
import { formatBytes } from "../../base/index.ts";
import { planeEnvironment } from "../choose.ts";
import type { TakenArchive } from "../control-plane.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { formatCount } from "../output/moment.ts";
import { fileExists, refuseTerminal, writeToFile, writeToStream } from "../output/output-file.ts";
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
  if (toStdout) refuseTerminal(host, "An archive", "-o FILE");
  await using plane = await openControlPlane(invocation);
  const environment = await planeEnvironment(plane, invocation.options);
  const backup = await plane.findBackup(environment.id, id);
  if (!toStdout && (await fileExists(file))) {
    say(invocation, `${file} exists and will be replaced.`);
    if (!(await confirm(invocation, "Are you sure you want to continue?"))) return 1;
  }
  const { only } = options;
  const paths = only === undefined ? [Buffer.alloc(0)] : only.map((selection) => pathInBackup(backup, selection));
  const progress = new TaskProgress(host, invocation.options, "download");
  let archive: TakenArchive;
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
