import type { Command } from "commander";
import { isBackupId } from "../../base/index.ts";
import { planeEnvironment } from "../choose.ts";
import type { BackupFile } from "../../engine/index.ts";
import { openControlPlane } from "../open-control-plane.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import { formatTimestamp } from "../output/moment.ts";
import { isUtf8Text, printableBytes } from "../output/printable.ts";
import type { Column } from "../output/table.ts";
import type { RunCommand } from "../run-command.ts";
import { modeText } from "./mode-text.ts";
import { type Invocation, say } from "../offline/session.ts";
import { looksLikeSelection, parseSourceSelection, pathInBackup } from "./source-selection.ts";

export function registerBackupFiles(program: Command, run: RunCommand): void {
  addDataOptions(
    program
      .command("backup:files")
      .description("List what a backup holds in a directory, by default the root of the newest backup")
      .argument("[id]", "the backup, or latest")
      .argument("[path]", "a path in the backup, or a component: mounts/app/media/2026, mount:app/media:2026"),
  ).action(run((invocation, options: DataOptions, id?: string, path?: string) => files(invocation, options, id, path)));
}

const shownName = ({ name, type, linkTarget }: BackupFile): string => {
  const shown = printableBytes(name);
  if (type === "symlink" && linkTarget !== undefined) return `${shown} -> ${printableBytes(linkTarget)}`;
  return type === "dir" ? `${shown}/` : shown;
};

const columns: readonly Column<BackupFile>[] = [
  { name: "mode", header: "Mode", cell: (file) => modeText(file) },
  { name: "links", header: "Links", align: "right", cell: ({ links }) => String(links) },
  { name: "owner", header: "Owner", cell: ({ user, uid }) => user ?? String(uid) },
  { name: "group", header: "Group", cell: ({ group, gid }) => group ?? String(gid) },
  { name: "size", header: "Size", align: "right", cell: ({ sizeBytes }) => String(sizeBytes ?? "") },
  { name: "modified", header: "Modified", cell: ({ modifiedAt }) => formatTimestamp(modifiedAt) },
  { name: "name", header: "Name", cell: shownName },
];

const defaultColumns = ["mode", "size", "modified", "name"];

async function files(
  invocation: Invocation,
  options: DataOptions,
  id: string | undefined,
  path: string | undefined,
): Promise<number> {
  // A lone argument that cannot be an id is a path in the newest backup.
  const lonePath = path === undefined && id !== undefined && id !== "latest" && !isBackupId(id);
  const wantedId = lonePath ? undefined : id;
  const wanted = lonePath ? id : (path ?? "");
  const selection = looksLikeSelection(wanted) ? parseSourceSelection(wanted) : undefined;

  await using plane = await openControlPlane(invocation);
  const environment = await planeEnvironment(plane, invocation.options);
  const backup = await plane.findBackup(environment.id, wantedId);
  const place =
    selection === undefined ? Buffer.from(wanted.replace(/^\/+|\/+$/g, "")) : pathInBackup(backup, selection);
  const rows = await plane.backupFiles(backup, place);
  const text = renderData({ columns, defaultColumns, rows, json: fileJson }, options);
  if (options.format === undefined || options.format === "table") {
    say(invocation, `/${printableBytes(place)} in the backup ${backup.id}:`);
  }
  invocation.host.stdout.write(text);
  return 0;
}

function fileJson(file: BackupFile): Record<string, unknown> {
  const { name, linkTarget } = file;
  return {
    name: name.toString("utf8"),
    ...(isUtf8Text(name) ? {} : { name_base64: name.toString("base64") }),
    type: file.type,
    mode: file.mode.toString(8).padStart(4, "0"),
    uid: file.uid,
    gid: file.gid,
    user: file.user ?? null,
    group: file.group ?? null,
    size: file.sizeBytes ?? null,
    modified_at: file.modifiedAt.toISOString(),
    links: file.links,
    ...(linkTarget === undefined ? {} : { link_target: linkTarget.toString("utf8") }),
  };
}
