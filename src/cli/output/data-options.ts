import { type Command, Option } from "commander";
import { chooseColumns, type Column, renderTable, type TableFormat, tableFormats } from "./table.ts";

/** Of commands that print data. */
export interface DataOptions {
  readonly format?: TableFormat;
  readonly columns?: string;
  /** False after --no-header. */
  readonly header: boolean;
}

export function addDataOptions(command: Command): Command {
  return addFormatOption(command)
    .option("--columns <names>", 'columns to print, separated by commas; "+" first adds them to the default ones')
    .option("--no-header", "leave out the header");
}

/** For commands whose only other form than text is JSON or a list of properties. */
export function addFormatOption(command: Command): Command {
  return command.addOption(new Option("--format <format>", "how to print the data").choices(tableFormats));
}

export interface DataTable<Row> {
  readonly columns: readonly Column<Row>[];
  readonly defaultColumns: readonly string[];
  readonly rows: readonly Row[];
  /** A row as `--format json` prints it. */
  readonly json: (row: Row) => unknown;
}

/** The text for standard output. */
export function renderData<Row>(table: DataTable<Row>, options: DataOptions): string {
  const columns = chooseColumns(table.columns, table.defaultColumns, options.columns);
  const format = options.format ?? "table";
  if (format === "json") return `${JSON.stringify(table.rows.map(table.json), null, 2)}\n`;
  return renderTable(columns, table.rows, { format, header: options.header });
}
