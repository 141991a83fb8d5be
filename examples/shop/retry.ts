import { setTimeout as wait } from "node:timers/promises";

/** A restore ends database connections and takes less than a second; this is ample. */
const patienceMs = 10_000;

/**
 * Runs `action`, again after a short wait if it failed in a way that `passes` says will pass: a closed connection, a
 * database that is being exchanged. What the application behind a restore needs.
 */
export async function withRetry<T>(action: () => Promise<T>, passes: (error: unknown) => boolean): Promise<T> {
  const startedAtMs = performance.now();
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      if (!passes(error) || performance.now() - startedAtMs > patienceMs) throw error;
      await wait(Math.min(10 * 2 ** attempt, 200));
    }
  }
}

/** The `code` of an error, as Node and the database clients set it. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** A TCP connection that broke or was refused. */
export function isBrokenConnection(error: unknown): boolean {
  return ["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT", "ENOENT"].includes(codeOf(error));
}
