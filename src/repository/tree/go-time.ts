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
  let fraction = held % nsPerSecond;
  if (fraction < 0n) fraction += nsPerSecond;
  const second = new Date(Number((held - fraction) / 1_000_000n)).toISOString().slice(0, 19);
  if (fraction === 0n) return `${second}Z`;
  return `${second}.${fraction.toString().padStart(9, "0").replace(/0+$/, "")}Z`;
}

const form = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})$/;

/** Nanoseconds since 1970 of an RFC 3339 time; undefined if it is malformed. */
export function parseGoTime(text: unknown): bigint | undefined {
  const match = typeof text === "string" ? form.exec(text) : null;
  if (match === null) return undefined;
  const milliseconds = Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(milliseconds)) return undefined;
  return BigInt(milliseconds) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0"));
}
