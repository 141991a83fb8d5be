import { resolve } from "node:path";
import type { Command } from "commander";
import { readTar } from "../../archive/index.ts";
import { formatBytes, HoldfastError } from "../../base/index.ts";
import type { Backup, BackupComponent } from "../../engine/index.ts";
import { planeEnvironment } from "../choose.ts";
import { type Invocation, say } from "../offline/session.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { formatCount, formatMomentAndAge } from "../output/moment.ts";
import { NewFolder } from "../output/new-folder.ts";
import { printableBytes } from "../output/printable.ts";
import { TaskProgress } from "../progress/task-progress.ts";
import type { RunCommand } from "../run-command.ts";
import { warningsExit } from "./warnings.ts";

interface MountOptions {
  readonly mount?: string;
  readonly app?: string;
  readonly all?: true;
  readonly target: string;
  readonly backup?: string;
}

export function registerMountDownload(program: Command, run: RunCommand): void {
  program
    .command("mount:download")
    .description("Write the files of a mount out of a backup, by default the newest, into a new folder")
    .option("-m, --mount <name>", "the mount; needed if there are several")
    .option("-A, --app <name>", "the mount's application; needed if several have such a mount")
    .option("-a, --all", "all mounts, each in TARGET/APPLICATION/MOUNT")
    .requiredOption("--target <folder>", "the folder to write; is not there yet, or is empty")
    .option("--backup <id>", "the backup, or latest")
    .action(run((invocation, options: MountOptions) => download(invocation, options)));
}

async function download(invocation: Invocation, options: MountOptions): Promise<number> {
  const { host } = invocation;
  await using plane = await openControlPlane(invocation);
  const environment = await planeEnvironment(plane, invocation.options);
  const backup = await plane.findBackup(environment.id, options.backup);
  const mounts = chooseMounts(backup, options);
  const target = resolve(host.cwd, options.target);
  await using folder = await NewFolder.beside(target);
  const age = formatMomentAndAge(backup.createdAt, host.clock.now());
  const names = mounts.map(({ source }) => source).join(", ");
  say(invocation, `Writing ${names} of the backup ${backup.id} (${age}) to ${target}.`);

  const progress = new TaskProgress(host, invocation.options, "download");
  const expected = mounts.reduce((sum, { bytes }) => sum + bytes, 0);
  let skipped: readonly Buffer[] = [];
  try {
    const paths = mounts.map(({ path }) => Buffer.from(path));
    const archive = await plane.backupArchive(backup, paths, (bytes) =>
      progress.show(bytes, Math.max(expected, bytes)),
    );
    for await (const entry of readTar(archive.bytes)) {
      const path = pathInTarget(entry.path, mounts, options.all === true);
      const linked = entry.type === "link" ? pathInTarget(entry.linkName, mounts, options.all === true) : undefined;
      await folder.write(entry, path, linked, host.signal);
    }
    skipped = archive.summary()?.skipped ?? [];
    await folder.complete();
  } finally {
    progress.finish();
  }
  const leftOut = [...skipped, ...folder.leftOut];
  for (const path of leftOut) {
    say(invocation, `Warning: left out, since it is a socket or a device: ${printableBytes(path)}`);
  }
  say(invocation, `Wrote ${formatCount(folder.files, "file")}, ${formatBytes(folder.bytes)}, to ${target}.`);
  return warningsExit(invocation, leftOut.length, undefined);
}

/** @throws HoldfastError SOURCE_NOT_FOUND, INPUT_INVALID */
function chooseMounts(backup: Backup, { mount, app, all }: MountOptions): readonly BackupComponent[] {
  if (all && mount !== undefined) throw new HoldfastError("INPUT_INVALID", "--all leaves no use for --mount.");
  const every = backup.components.filter(({ source }) => source.startsWith("mount:"));
  const found = every.filter(({ source }) => {
    const [application, name] = source.slice("mount:".length).split("/");
    return (app === undefined || application === app) && (mount === undefined || name === mount || source === mount);
  });
  const list = `It has: ${every.length === 0 ? "none" : every.map(({ source }) => source).join(", ")}.`;
  if (found.length === 0) {
    throw new HoldfastError("SOURCE_NOT_FOUND", `The backup ${backup.id} has no such mount.`, {
      facts: { backup: backup.id },
      remedy: list,
    });
  }
  if (!all && found.length > 1) {
    throw new HoldfastError("INPUT_INVALID", `The backup ${backup.id} has several such mounts.`, {
      facts: { backup: backup.id },
      remedy: `Name one with --mount and --app, or take --all. ${list}`,
    });
  }
  return found;
}

/** One mount's files are directly in the target, several below APPLICATION/MOUNT. */
function pathInTarget(path: Buffer, mounts: readonly BackupComponent[], all: boolean): Buffer {
  for (const mount of mounts) {
    const root = Buffer.from(mount.path);
    if (path.equals(root)) return all ? Buffer.from(mount.source.slice("mount:".length)) : Buffer.alloc(0);
    if (path[root.length] !== 0x2f || !path.subarray(0, root.length).equals(root)) continue;
    const below = path.subarray(root.length + 1);
    return all ? Buffer.concat([Buffer.from(`${mount.source.slice("mount:".length)}/`), below]) : below;
  }
  throw new HoldfastError("SERVER_ANSWER_INVALID", `The archive holds what was not asked for: ${printableBytes(path)}`);
}
