import type { Command } from "commander";
import { stringify } from "yaml";
import { HoldfastError } from "../../base/index.ts";
import { addFormatOption } from "../output/data-options.ts";
import { type Column, renderTable, type TableFormat } from "../output/table.ts";

/** Of commands that print one thing's properties. */
export interface PropertyOptions {
  readonly property?: string;
  readonly format?: TableFormat;
  readonly header: boolean;
}

export function addPropertyOptions(command: Command, example: string): Command {
  return addFormatOption(
    command
      .option("-P, --property <name>", `print only this property; dots lead into it: ${example}`)
      .option("--no-header", "leave out the header"),
  );
}

type Property = readonly [name: string, value: unknown];

const propertyColumns: readonly Column<Property>[] = [
  { name: "property", header: "Property", cell: ([name]) => name },
  { name: "value", header: "Value", cell: ([, value]) => valueText(value) },
];

/** The text for standard output. @param what for the error: "A backup" @throws HoldfastError INPUT_INVALID */
export function renderProperties(what: string, data: Record<string, unknown>, options: PropertyOptions): string {
  const { format, property } = options;
  if (property !== undefined) {
    const value = propertyOf(what, data, property);
    return `${format === "json" ? JSON.stringify(value, null, 2) : valueText(value)}\n`;
  }
  if (format === "json") return `${JSON.stringify(data, null, 2)}\n`;
  if (format === undefined) return stringify(data);
  return renderTable(propertyColumns, Object.entries(data), { format, header: options.header });
}

function propertyOf(what: string, data: Record<string, unknown>, path: string): unknown {
  let value: unknown = data;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) {
      throw new HoldfastError("INPUT_INVALID", `${what} has no property "${path}".`, {
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
