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
  if (ns < minWord || ns > maxWord) return formatLargeTime(ns);
  // In two words of 32 bits: arithmetic on integers of any size costs as much as all the rest.
  word.setBigInt64(0, ns, true);
  const low = word.getUint32(0, true);
  let seconds = Math.floor((word.getInt32(4, true) * 2 ** 32 + low) / nsInSecond);
  // A double has not all digits, so that the second may be the next or the one before: the fraction says so.
  let fraction = (low - Math.imul(seconds, nsInSecond)) >>> 0;
  if (fraction >= 2 ** 31) {
    seconds -= 1;
    fraction = (fraction + nsInSecond) >>> 0;
  } else if (fraction >= nsInSecond) {
    seconds += 1;
    fraction -= nsInSecond;
  }
  return joinTime(formatSecond(seconds), fraction);
}

const nsInSecond = 1_000_000_000;
const minWord = -(2n ** 63n);
const maxWord = 2n ** 63n - 1n;
const word = new DataView(new ArrayBuffer(8));

/** Before 1678 or after 2262. */
function formatLargeTime(ns: bigint): string {
  const held = ns < minNs ? minNs : ns > maxNs ? maxNs : ns;
  let fraction = Number(held % nsPerSecond);
  if (fraction < 0) fraction += nsInSecond;
  return joinTime(formatSecond(Number((held - BigInt(fraction)) / nsPerSecond)), fraction);
}

function joinTime(second: string, fraction: number): string {
  if (fraction === 0) return `${second}Z`;
  let digits = 9;
  let shown = fraction;
  for (; shown % 10 === 0; shown /= 10) digits -= 1;
  return `${second}.${String(shown).padStart(digits, "0")}Z`;
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
  if (typeof text !== "string") return undefined;
  const known = parseInKnownSecond(text);
  if (known !== undefined) return known;
  const match = form.exec(text);
  if (match === null) return undefined;
  const milliseconds = Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(milliseconds)) return undefined;
  const ns = BigInt(milliseconds) * 1_000_000n;
  if (match[3] === "Z") lastParsed = [{ text: match[1] as string, ns }, lastParsed[0]];
  return ns + BigInt((match[2] ?? "").padEnd(9, "0"));
}

interface ParsedSecond {
  /** Up to the fraction, of a time in UTC. */
  readonly text: string;
  readonly ns: bigint;
}

// Of a tree's nodes, most were written in one second and changed in another.
let lastParsed: readonly [ParsedSecond, ParsedSecond] = [
  { text: "1970-01-01T00:00:00", ns: 0n },
  { text: "1970-01-01T00:00:00", ns: 0n },
];
const secondDigits = 19;
const [zero, nine, point, zed] = [0x30, 0x39, 0x2e, 0x5a];

/** The time, if its second is one of the last two; a fifth of the work. */
function parseInKnownSecond(text: string): bigint | undefined {
  const end = text.length - 1;
  if (text.charCodeAt(end) !== zed || end < secondDigits || end > secondDigits + 10) return undefined;
  const [newer, older] = lastParsed;
  const second = text.startsWith(newer.text) ? newer : text.startsWith(older.text) ? older : undefined;
  if (second === undefined) return undefined;
  if (end === secondDigits) return second.ns;
  if (text.charCodeAt(secondDigits) !== point || end === secondDigits + 1) return undefined;
  let fraction = 0;
  for (let at = secondDigits + 1; at < end; at += 1) {
    const digit = text.charCodeAt(at);
    if (digit < zero || digit > nine) return undefined;
    fraction = fraction * 10 + digit - zero;
  }
  for (let digits = end - secondDigits - 1; digits < 9; digits += 1) fraction *= 10;
  return second.ns + BigInt(fraction);
}
