import { stripVTControlCharacters } from "node:util";
import { displayWidth } from "../output/table.ts";

/** Where the text of a phase begins, behind its name. */
const indent = 11;

/** Columns that a line takes; escape sequences take none. */
const lineWidth = (text: string): number => displayWidth(stripVTControlCharacters(text));

/**
 * A finished line in a window of `width` columns: parts that do not fit (split by " · " and ", ") go below, beneath the
 * first one. A single part that is too long stays whole.
 */
export function wrapLine(text: string, width: number): string {
  if (lineWidth(text) <= width) return text;
  const lines: string[] = [];
  let line = "";
  for (const part of text.split(/(?<= · |, )/)) {
    if (line !== "" && lineWidth(line + part.trimEnd()) > width) {
      lines.push(line.trimEnd());
      line = " ".repeat(indent);
    }
    line += part;
  }
  return [...lines, line].join("\n");
}
