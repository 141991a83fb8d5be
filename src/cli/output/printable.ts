const utf8 = new TextDecoder("utf-8", { fatal: true });

/** True if the bytes are a text in UTF-8. */
export function isUtf8Text(bytes: Uint8Array): boolean {
  try {
    utf8.decode(bytes);
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}

const hex = (code: number): string => `\\x${code.toString(16).padStart(2, "0")}`;

/** The text with control characters shown as \xNN: names in a backup must not steer a terminal. */
export function printable(text: string): string {
  // Also the C1 controls, and the marks that reorder text.
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code > 0xff ? `\\u${code.toString(16)}` : hex(code);
  });
}

/** A file name or path for people: UTF-8 as it is, other bytes as \xNN. */
export function printableBytes(bytes: Uint8Array): string {
  if (isUtf8Text(bytes)) return printable(Buffer.from(bytes).toString("utf8"));
  return Array.from(bytes, (byte) => (byte < 0x20 || byte > 0x7e ? hex(byte) : String.fromCharCode(byte))).join("");
}
