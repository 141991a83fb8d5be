/** "2026-11-21T04:12:00.123+00:00". */
export const timestamp = (date: Date): string => date.toISOString().replace("Z", "+00:00");

export const timestampOrNull = (date: Date | null): string | null => (date === null ? null : timestamp(date));
