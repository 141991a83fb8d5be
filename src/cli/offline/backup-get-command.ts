import type { Command } from "commander";
import { stringify } from "yaml";
import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import type { Backup } from "../../engine/index.ts";
import { addFormatOption } from "../output/data-options.ts";
import { printable } from "../output/printable.ts";
import { type Column, renderTable, type TableFormat } from "../output/table.ts";
import type { RunCommand } from "../run-command.ts";
import { backupJson } from "./backup-json.ts";
import { measure, sizesJson } from "./repo-stats-command.ts";
import { type Invocation, say, sayDetail, Session } from "./session.ts";
import { tagOf } from "./snapshot-text.ts";

interface GetOptions {
  readonly property?: string;
  readonly format?: TableFormat;
  readonly header: boolean;
}

type Property = readonly [name: string, value: unknown];

export function registerBackupGet(program: Command, run: RunCommand): void {
  addFormatOption(
    program
      .command("backup:get")
      .description("Show a backup, by default the newest")
      .argument("[id]", "the backup, or latest")
      .option("-P, --property <name>", "print only this property; dots lead into it: hold.held_ms")
      .option("--no-header", "leave out the header"),
  ).action(run((invocation, options: GetOptions, id?: string) => get(invocation, options, id)));
}

const propertyColumns: readonly Column<Property>[] = [
  { name: "property", header: "Property", cell: ([name]) => name },
  { name: "value", header: "Value", cell: ([, value]) => valueText(value) },
];

async function get(invocation: Invocation, options: GetOptions, id: string | undefined): Promise<number> {
  await using session = await Session.open(invocation);
  const backup = await session.findBackup(session.chooseEnvironment(), id);
  if (id !== backup.id) sayDetail(invocation, `The newest backup: ${backup.id}`);
  const replicas = session.project.repository.replicas.map(({ name }) => name);
  const data = backupJson(backup, replicas);
  // Measuring reads directories of all backups: not for who wants to know something else.
  if (options.property === undefined || /^sizes(\.|$)/.test(options.property)) {
    data["sizes"] = await sizesOf(invocation, session, backup);
  }
  invocation.host.stdout.write(render(data, options));
  return 0;
}

/** Null, with a warning, if the repository does not tell. */
async function sizesOf(
  invocation: Invocation,
  session: Session,
  backup: Backup,
): Promise<Record<string, number> | null> {
  try {
    const repository = await session.repository();
    const { signal } = invocation.host;
    const { sizes } = await measure(invocation, (onProgress) => repository.stats({ signal, onProgress }));
    const found =
      sizes.find(({ snapshot }) => snapshot.id === backup.snapshot) ??
      sizes.find(({ snapshot }) => tagOf(snapshot, "backup") === backup.id);
    return found === undefined ? null : sizesJson(found);
  } catch (error) {
    if (!isHoldfastError(error) || error.code === "INTERRUPTED") throw error;
    say(invocation, `Warning: what the backup takes cannot be told: ${printable(error.message)}`);
    return null;
  }
}

function render(data: Record<string, unknown>, options: GetOptions): string {
  const { format } = options;
  if (options.property !== undefined) {
    const value = propertyOf(data, options.property);
    return `${format === "json" ? JSON.stringify(value, null, 2) : valueText(value)}\n`;
  }
  if (format === "json") return `${JSON.stringify(data, null, 2)}\n`;
  if (format === undefined) return stringify(data);
  return renderTable(propertyColumns, Object.entries(data), { format, header: options.header });
}

function propertyOf(data: Record<string, unknown>, path: string): unknown {
  let value: unknown = data;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) {
      throw new HoldfastError("INPUT_INVALID", `A backup has no property "${path}".`, {
        remedy: `Properties: ${Object.keys(data).join(", ")}`,
      });
    }
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function valueText(value: unknown): string {
  if (value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
