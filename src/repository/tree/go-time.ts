const nsPerSecond = 1_000_000_000n;
const minNs = yearStart(0);
const maxNs = yearStart(10_000) - 1n;

function yearStart(year: number): bigint {
  const date = new Date(0);
  date.setUTCFullYear(year, 0, 1);
  return BigInt(date.getTime()) * 1_000_000n;
}

/**
 * RFC 3339 in UTC with up to nine digits of fraction, trailing zeros dropped, as Go writes times. Times beyond the
 * years 0 to 9999, which the format cannot hold, become the nearest that it can.
 */
export function formatGoTime(ns: bigint): string {
  const held = ns < minNs ? minNs : ns > maxNs ? maxNs : ns;
  let fraction = Number(held % nsPerSecond);
  if (fraction < 0) fraction += 1_000_000_000;
  const second = formatSecond(Number((held - BigInt(fraction)) / nsPerSecond));
  if (fraction === 0) return `${second}Z`;
  let digits = 9;
  for (; fraction % 10 === 0; fraction /= 10) digits -= 1;
  return `${second}.${String(fraction).padStart(digits, "0")}Z`;
}

// Files next to each other were often written in the same second, and changed in another.
const keptSeconds = 64;
const lastSeconds = Array.from({ length: keptSeconds }, () => ({ number: Number.NaN, text: "" }));

function formatSecond(number: number): string {
  const place = number & (keptSeconds - 1);
  const last = lastSeconds[place];
  if (last?.number === number) return last.text;
  const text = new Date(number * 1000).toISOString().slice(0, 19);
  lastSeconds[place] = { number, text };
  return text;
}

const form = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})$/;

/** Nanoseconds since 1970 of an RFC 3339 time; undefined if it is malformed. */
export function parseGoTime(text: unknown): bigint | undefined {
  const match = typeof text === "string" ? form.exec(text) : null;
  if (match === null) return undefined;
  const seconds = parseSecond(`${match[1]}${match[3]}`);
  if (seconds === undefined) return undefined;
  return seconds * nsPerSecond + BigInt((match[2] ?? "").padEnd(9, "0"));
}

let lastParsed: { readonly text: string; readonly seconds: bigint | undefined } = { text: "", seconds: undefined };

function parseSecond(text: string): bigint | undefined {
  if (lastParsed.text !== text) {
    const milliseconds = Date.parse(text);
    lastParsed = { text, seconds: Number.isNaN(milliseconds) ? undefined : BigInt(milliseconds / 1000) };
  }
  return lastParsed.seconds;
}
