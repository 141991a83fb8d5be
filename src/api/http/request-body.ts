import type { IncomingMessage } from "node:http";
import { HoldfastError } from "../../base/index.ts";
import { parseJson } from "./json-text.ts";
import { withoutNul } from "./nul.ts";

/** What operations take is small: settings of a few kilobytes at most. */
export const longestBodyBytes = 256 * 1024;

/**
 * The request's body as text; "" for none. A longer one than allowed is not read on.
 * @throws HoldfastError REQUEST_TOO_LARGE, INPUT_INVALID for another encoding than UTF-8
 */
export async function readBody(request: IncomingMessage): Promise<string> {
  const encoding = request.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") {
    throw new HoldfastError(
      "INPUT_INVALID",
      `Bodies with the Content-Encoding ${encoding.slice(0, 50)} are not taken.`,
    );
  }
  if (Number(request.headers["content-length"] ?? 0) > longestBodyBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longestBodyBytes) throw tooLarge();
    chunks.push(chunk);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    throw new HoldfastError("INPUT_INVALID", "The body is not in UTF-8.", { cause: error });
  }
}

function tooLarge(): HoldfastError {
  return new HoldfastError("REQUEST_TOO_LARGE", `A body has at most ${longestBodyBytes} bytes.`, {
    facts: { limitBytes: longestBodyBytes },
  });
}

/**
 * The value of a body. JSON whatever the Content-Type: `curl -d '{...}'` sends JSON and calls it a form.
 * @param form it may be a form, if it does not look like JSON
 * @throws HoldfastError INPUT_INVALID
 */
export function parseBody(text: string, form: boolean): unknown {
  if (text.trim() === "") return {};
  if (form && !/^\s*[{["]/.test(text)) {
    return Object.fromEntries(Array.from(new URLSearchParams(text), ([name, value]) => [name, withoutNul(value)]));
  }
  return parseJson(text);
}

/**
 * Query parameters by name: a text, or the texts of one that comes several times, be it as `state`, `state[]` or `state[0]`.
 */
export function parseQuery(query: string): Readonly<Record<string, string | string[]>> {
  const found = new Map<string, string[]>();
  for (const [key, value] of new URLSearchParams(query)) {
    const name = key.replace(/\[\d*\]$/, "");
    // Upsun's CLI leaves the plus of a time zone as it is, which in a query is a space.
    const text = /^\d{4}-\d\d-\d\dT[\d:.]+ \d\d:\d\d$/.test(value) ? value.replace(" ", "+") : value;
    found.set(name, [...(found.get(name) ?? []), withoutNul(text)]);
  }
  return Object.fromEntries(
    Array.from(found, ([name, values]) => [name, values.length === 1 ? (values[0] ?? "") : values]),
  );
}
