/** `name` as an identifier of MariaDB. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

/** `text` as a string literal under any sql_mode without NO_BACKSLASH_ESCAPES. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''").replaceAll("\n", "\\n").replaceAll("\0", "\\0")}'`;
}

/** "shop@127.0.0.1" as the server prints it, as an account for GRANT: the host is after the last "@". */
export function quoteAccount(account: string): string {
  const at = account.lastIndexOf("@");
  if (at === -1) return quoteText(account);
  return `${quoteText(account.slice(0, at))}@${quoteText(account.slice(at + 1))}`;
}

/** A schema's name as the pattern of GRANT, in which "_" and "%" stand for themselves. */
export function quoteGrantPattern(name: string): string {
  return quoteName(name.replaceAll("_", "\\_").replaceAll("%", "\\%"));
}

const escapes: Readonly<Record<string, string>> = { "0": "\0", n: "\n", t: "\t", "\\": "\\" };

/** A field as the client prints it in batch mode, back to what the server sent. */
export function unescapeField(field: string): string {
  if (!field.includes("\\")) return field;
  return field.replaceAll(/\\([0nt\\])/g, (_all, sign: string) => escapes[sign] ?? sign);
}
