import { type Facts, HoldfastError, messageOf } from "../base/index.ts";

/** REPOSITORY_DAMAGED: `message` says what was found and, where it is known, in which file. */
export function damaged(message: string, facts: Facts = {}, cause?: unknown): HoldfastError {
  return new HoldfastError("REPOSITORY_DAMAGED", message, {
    facts,
    remedy:
      "Run `holdfast repo:check --read-data` to see which backups are affected, then `holdfast repo:repair` to save what can be.",
    cause,
  });
}

/** Parses stored JSON. @throws HoldfastError REPOSITORY_DAMAGED naming `what` */
export function parseStoredJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8")) as unknown;
  } catch (error) {
    throw damaged(`The ${what} is not valid JSON: ${messageOf(error)}.`, {}, error);
  }
}

/** The value as an object with unknown members. @throws HoldfastError REPOSITORY_DAMAGED naming `what` */
export function storedObject(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw damaged(`The ${what} is not a JSON object.`);
  }
  return value as Readonly<Record<string, unknown>>;
}

/** What a stored thing's own fault looks like, as opposed to the storage's. */
export function isDamage(error: unknown): error is HoldfastError {
  return error instanceof HoldfastError && (error.code === "REPOSITORY_DAMAGED" || error.code === "ENTRY_UNSAFE");
}

/**
 * What is read, or undefined for what is damaged. Reads twice before it says so: a fault of memory or of the way here
 * does not come twice. @throws what `read` throws for other reasons
 */
export async function readTwice<T>(read: () => Promise<T>): Promise<T | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await read();
    } catch (error) {
      if (!isDamage(error)) throw error;
      if (attempt === 2) return undefined;
    }
  }
}
