import type { Backup } from "../../engine/index.ts";

// A backup as JSON text. Dates are written by a replacer as {"$date": ms}, so that any field may hold one and
// fields that the engine adds later need no change here.
interface DateMark {
  readonly $date: number;
}

const isDateMark = (value: object): value is DateMark => "$date" in value && typeof value.$date === "number";

/** The text that the catalog keeps for a backup. */
export function encodeBackup(backup: Backup): string {
  return JSON.stringify(backup, function encode(this: Record<string, unknown>, key: string, value: unknown) {
    // JSON.stringify has called toJSON on dates by now; the holder still has the Date.
    const original = this[key];
    return original instanceof Date ? ({ $date: original.getTime() } satisfies DateMark) : value;
  });
}

export function decodeBackup(text: string): Backup {
  const backup = JSON.parse(text) as Backup;
  reviveDates(backup);
  return backup;
}

/** In place: a reviver, which JSON.parse calls for every value, takes six times as long. */
function reviveDates(holder: object): void {
  const values = holder as Record<string, unknown>;
  for (const key in values) {
    const value = values[key];
    if (typeof value !== "object" || value === null) continue;
    if (isDateMark(value)) values[key] = new Date(value.$date);
    else reviveDates(value);
  }
}
