import { isAscii, isUtf8 } from "node:buffer";

// How Go writes and reads strings: the bytes of a tree, and so its id, depend on it.

const replacement = 0xfffd;
const plainName = /^[ !#-%'-;=?-[\]-~]*$/;
const printable = /^[ \p{L}\p{M}\p{N}\p{P}\p{S}]$/u;
const shortEscapes: Readonly<Record<number, string>> = {
  0x07: "\\a",
  0x08: "\\b",
  0x0c: "\\f",
  0x0a: "\\n",
  0x0d: "\\r",
  0x09: "\\t",
  0x0b: "\\v",
};

/** Code point and width at `at` as Go's utf8.DecodeRune gives them: U+FFFD and width 1 for an invalid byte. */
function decodeRune(bytes: Uint8Array, at: number): { readonly rune: number; readonly width: number } {
  const first = bytes[at] as number;
  if (first < 0x80) return { rune: first, width: 1 };
  const width = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  const part = bytes.subarray(at, at + width);
  if (first < 0xc2 || first > 0xf4 || part.length < width || !isUtf8(part)) return { rune: replacement, width: 1 };
  const text = Buffer.from(part.buffer, part.byteOffset, width).toString("utf8");
  return { rune: text.codePointAt(0) as number, width };
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");

/** strconv.Quote without the outer quotes. */
export function goQuote(name: Buffer): string {
  if (isAscii(name)) {
    const text = name.toString("latin1");
    if (plainName.test(text)) return text;
  }
  let quoted = "";
  for (let at = 0; at < name.length;) {
    const { rune, width } = decodeRune(name, at);
    quoted += rune === replacement && width === 1 ? `\\x${hex(name[at] as number, 2)}` : quoteRune(rune);
    at += width;
  }
  return quoted;
}

function quoteRune(rune: number): string {
  const text = String.fromCodePoint(rune);
  if (text === '"' || text === "\\") return `\\${text}`;
  if (printable.test(text)) return text;
  const short = shortEscapes[rune];
  if (short !== undefined) return short;
  if (rune < 0x20 || rune === 0x7f) return `\\x${hex(rune, 2)}`;
  return rune < 0x10000 ? `\\u${hex(rune, 4)}` : `\\U${hex(rune, 8)}`;
}

const escapeForm = /^(?:[abfnrtv\\"]|x[0-9a-fA-F]{2}|[0-3][0-7]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})/;
const shortValues: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11 };

/** strconv.Unquote of the text between quotes, as bytes; undefined if it is malformed. */
export function goUnquote(quoted: string): Buffer | undefined {
  if (quoted.includes('"') && !quoted.includes("\\")) return undefined;
  if (quoted.includes("\n")) return undefined;
  if (!quoted.includes("\\")) return Buffer.from(quoted, "utf8");
  const parts: Buffer[] = [];
  let at = 0;
  while (at < quoted.length) {
    const next = quoted.indexOf("\\", at);
    const literal = quoted.slice(at, next === -1 ? quoted.length : next);
    if (literal.includes('"')) return undefined;
    if (literal !== "") parts.push(Buffer.from(literal, "utf8"));
    if (next === -1) break;
    const form = escapeForm.exec(quoted.slice(next + 1, next + 10))?.[0];
    if (form === undefined) return undefined;
    const bytes = unescape(form);
    if (bytes === undefined) return undefined;
    parts.push(bytes);
    at = next + 1 + form.length;
  }
  return Buffer.concat(parts);
}

function unescape(form: string): Buffer | undefined {
  const kind = form.charAt(0);
  if (kind === "x") return Buffer.of(Number.parseInt(form.slice(1), 16));
  if (kind === "u" || kind === "U") {
    const rune = Number.parseInt(form.slice(1), 16);
    const valid = rune <= 0x10ffff && (rune < 0xd800 || rune > 0xdfff);
    return valid ? Buffer.from(String.fromCodePoint(rune), "utf8") : undefined;
  }
  if (/^[0-3]/.test(form)) return Buffer.of(Number.parseInt(form, 8));
  return Buffer.of(shortValues[kind] ?? kind.charCodeAt(0));
}

const plainJson = /^[ !#-%'-;=?-[\]-~]*$/;

/** A JSON string as Go's encoding/json writes it. */
export function goJsonString(text: string): string {
  if (plainJson.test(text)) return `"${text}"`;
  return JSON.stringify(text).replaceAll(/[<>&\u2028\u2029]/g, (found) => `\\u${hex(found.charCodeAt(0), 4)}`);
}

/** The same for bytes: each that is not UTF-8 becomes the six characters \ufffd. */
export function goJsonBytes(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return goJsonString(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8"));
  const parts: string[] = [];
  let start = 0;
  const flush = (end: number): void => {
    if (end > start) {
      parts.push(
        goJsonString(Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8")).slice(1, -1),
      );
    }
  };
  for (let at = 0; at < bytes.length;) {
    const { rune, width } = decodeRune(bytes, at);
    if (rune === replacement && width === 1) {
      flush(at);
      parts.push("\\ufffd");
      start = at + 1;
    }
    at += width;
  }
  flush(bytes.length);
  return `"${parts.join("")}"`;
}
