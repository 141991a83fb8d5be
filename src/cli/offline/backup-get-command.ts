import type { Command } from "commander";
import { stringify } from "yaml";
import { HoldfastError } from "../../base/index.ts";
import { addFormatOption } from "../output/data-options.ts";
import { type Column, renderTable, type TableFormat } from "../output/table.ts";
import type { RunCommand } from "../run-command.ts";
import { backupJson } from "./backup-json.ts";
import { type Invocation, sayDetail, Session } from "./session.ts";

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
      .argument("[id]", "the backup")
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
  if (id === undefined) sayDetail(invocation, `The newest backup: ${backup.id}`);
  const data = backupJson(
    backup,
    session.project.repository.replicas.map(({ name }) => name),
  );
  invocation.host.stdout.write(render(data, options));
  return 0;
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
