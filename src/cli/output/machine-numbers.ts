const millisecondsName = /(?:_ms|Ms)$/;

/** The same data with every count of milliseconds rounded to a tenth: clocks give "3643.0719799999997". */
export function roundMilliseconds(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, roundPart(name, part)]));
}

function roundPart(name: string, value: unknown): unknown {
  if (typeof value === "number") return millisecondsName.test(name) ? Math.round(value * 10) / 10 : value;
  if (Array.isArray(value)) return value.map((part: unknown) => roundPart(name, part));
  // Only plain data has parts: a Date, say, has a text of its own.
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return roundMilliseconds(value as Readonly<Record<string, unknown>>);
}
