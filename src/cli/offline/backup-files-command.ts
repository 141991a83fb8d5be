import type { Command } from "commander";
import { isBackupId } from "../../base/index.ts";
import type { StoredEntry } from "../../component/index.ts";
import { listBackup, openBackup } from "../../engine/index.ts";
import { addDataOptions, type DataOptions, renderData } from "../output/data-options.ts";
import { formatTimestamp } from "../output/moment.ts";
import { isUtf8Text, printableBytes } from "../output/printable.ts";
import type { Column } from "../output/table.ts";
import type { RunCommand } from "../run-command.ts";
import { modeText } from "./mode-text.ts";
import { type Invocation, say, Session } from "./session.ts";
import { looksLikeSelection, parseSourceSelection, pathInBackup } from "../commands/source-selection.ts";

export function registerBackupFiles(program: Command, run: RunCommand): void {
  addDataOptions(
    program
      .command("backup:files")
      .description("List what a backup holds in a directory, by default the root of the newest backup")
      .argument("[id]", "the backup, or latest")
      .argument("[path]", "a path in the backup, or a component: mounts/app/media/2026, mount:app/media:2026"),
  ).action(run((invocation, options: DataOptions, id?: string, path?: string) => files(invocation, options, id, path)));
}

const modifiedAt = (entry: StoredEntry): Date => new Date(Number(entry.metadata.mtimeNs / 1_000_000n));

/** The last name of its path. */
const baseName = ({ path }: StoredEntry): Buffer => path.subarray(path.lastIndexOf(0x2f) + 1);

const shownName = (entry: StoredEntry): string => {
  const { type, linkTarget } = entry.metadata;
  const name = printableBytes(baseName(entry));
  if (type === "symlink" && linkTarget !== undefined) return `${name} -> ${printableBytes(linkTarget)}`;
  return type === "dir" ? `${name}/` : name;
};

const columns: readonly Column<StoredEntry>[] = [
  { name: "mode", header: "Mode", cell: ({ metadata }) => modeText(metadata) },
  { name: "links", header: "Links", align: "right", cell: ({ metadata }) => String(metadata.links) },
  { name: "owner", header: "Owner", cell: ({ metadata }) => metadata.user ?? String(metadata.uid) },
  { name: "group", header: "Group", cell: ({ metadata }) => metadata.group ?? String(metadata.gid) },
  { name: "size", header: "Size", align: "right", cell: (entry) => String(entry.content?.sizeBytes ?? "") },
  { name: "modified", header: "Modified", cell: (entry) => formatTimestamp(modifiedAt(entry)) },
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

  await using session = await Session.open(invocation);
  const backup = await session.findBackup(session.chooseEnvironment(), wantedId);
  const place =
    selection === undefined ? Buffer.from(wanted.replace(/^\/+|\/+$/g, "")) : pathInBackup(backup, selection);
  const opened = await openBackup(await session.repository(), backup, invocation.host.signal);
  try {
    const rows = await listBackup(opened, place);
    if (options.format === undefined || options.format === "table") {
      say(invocation, `/${printableBytes(place)} in the backup ${backup.id}:`);
    }
    invocation.host.stdout.write(renderData({ columns, defaultColumns, rows, json: entryJson }, options));
    return 0;
  } finally {
    await opened.close();
  }
}

function entryJson(entry: StoredEntry): Record<string, unknown> {
  const { metadata } = entry;
  const name = baseName(entry);
  return {
    name: name.toString("utf8"),
    ...(isUtf8Text(name) ? {} : { name_base64: name.toString("base64") }),
    type: metadata.type,
    mode: metadata.mode.toString(8).padStart(4, "0"),
    uid: metadata.uid,
    gid: metadata.gid,
    user: metadata.user ?? null,
    group: metadata.group ?? null,
    size: entry.content?.sizeBytes ?? null,
    modified_at: modifiedAt(entry).toISOString(),
    links: metadata.links,
    ...(metadata.linkTarget === undefined ? {} : { link_target: Buffer.from(metadata.linkTarget).toString("utf8") }),
  };
}
