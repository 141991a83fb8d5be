import { HoldfastError } from "../../base/index.ts";
import { printable } from "./printable.ts";

export const tableFormats = ["table", "csv", "tsv", "plain", "json"] as const;
export type TableFormat = (typeof tableFormats)[number];

export interface Column<Row> {
  /** As --columns takes it: "created_at". */
  readonly name: string;
  readonly header: string;
  readonly align?: "right";
  readonly cell: (row: Row) => string;
  /** For programs (csv, tsv, plain), where it differs from what people read: bytes as a number. */
  readonly exact?: (row: Row) => string;
}

export interface TableOptions {
  readonly format: Exclude<TableFormat, "json">;
  readonly header: boolean;
}

/** The rows as text, ending in a newline. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], options: TableOptions): string {
  const headers = columns.map((column) => column.header);
  const cells = rows.map((row) =>
    columns.map((column) => (options.format === "table" ? column.cell(row) : (column.exact ?? column.cell)(row))),
  );
  if (options.format === "csv" || options.format === "tsv") {
    const separator = options.format === "csv" ? "," : "\t";
    const lines = options.header ? [headers, ...cells] : cells;
    return lines.map((line) => `${line.map((cell) => quoteCell(cell, separator)).join(separator)}\n`).join("");
  }
  const shown = cells.map((line) => line.map(printable));
  const widths = headers.map((header, index) =>
    // A directory may have more entries than a call takes arguments.
    shown.reduce(
      (width, line) => Math.max(width, displayWidth(line[index] ?? "")),
      options.header ? displayWidth(header) : 0,
    ),
  );
  const pad = (cell: string, index: number): string => {
    const spaces = " ".repeat(Math.max(0, (widths[index] ?? 0) - displayWidth(cell)));
    return columns[index]?.align === "right" ? spaces + cell : cell + spaces;
  };
  if (options.format === "plain") {
    const lines = options.header ? [headers, ...shown] : shown;
    return lines.map((line) => `${line.map(pad).join("  ").trimEnd()}\n`).join("");
  }
  const rule = `+${widths.map((width) => "-".repeat(width + 2)).join("+")}+\n`;
  const rendered = (line: readonly string[]): string => `| ${line.map(pad).join(" | ")} |\n`;
  const head = options.header ? rendered(headers) + rule : "";
  return rule + head + shown.map(rendered).join("") + (shown.length === 0 ? "" : rule);
}

function quoteCell(cell: string, separator: string): string {
  return cell.includes(separator) || /["\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

/** Columns that a terminal gives the text: combining marks none, East Asian wide and emoji two. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{M}|\u200d|\ufe0f/u.test(character)) continue;
    width +=
      /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303f\uff00-\uff60]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}

/**
 * The columns that `--columns` names, in its order: names separated by commas, `+` first for the defaults as well, `*` or
 * `%` for any letters. @throws HoldfastError INPUT_INVALID
 */
export function chooseColumns<Row>(
  all: readonly Column<Row>[],
  defaults: readonly string[],
  wanted: string | undefined,
): readonly Column<Row>[] {
  const byName = (name: string): readonly Column<Row>[] => all.filter((column) => column.name === name);
  if (wanted === undefined || wanted.trim() === "") return defaults.flatMap(byName);
  const chosen: Column<Row>[] = [];
  const add = (columns: readonly Column<Row>[]): void => {
    for (const column of columns) if (!chosen.includes(column)) chosen.push(column);
  };
  for (const item of wanted.split(",").map((part) => part.trim().toLowerCase())) {
    if (item.startsWith("+")) add(defaults.flatMap(byName));
    const name = item.replace(/^\+/, "");
    if (name === "") continue;
    const pattern = new RegExp(`^${name.replace(/[.\\^$()[\]{}|?+]/g, "\\$&").replace(/[*%]/g, ".*")}$`);
    const matching = all.filter((column) => pattern.test(column.name) || pattern.test(column.header.toLowerCase()));
    if (matching.length === 0) {
      throw new HoldfastError("INPUT_INVALID", `There is no column "${name}".`, {
        remedy: `Columns: ${all.map((column) => column.name).join(", ")}`,
      });
    }
    add(matching);
  }
  return chosen;
}
