/** The file of a table's dump: its name, with what a file name cannot hold percent-encoded, and ".sql". */
export function tableFileName(table: string): string {
  const encoded = table.replaceAll(
    /[%/\p{Cc}]|^\./gu,
    (sign) => `%${sign.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`,
  );
  return `${encoded}.sql`;
}

/** The table of a dump's file name, or undefined if it is none. */
export function tableOfFile(file: string): string | undefined {
  if (!file.endsWith(".sql") || file.length === 4) return undefined;
  return file
    .slice(0, -4)
    .replaceAll(/%([0-9A-F]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
