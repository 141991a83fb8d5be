import type { Facts } from "./errors.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Structured log. `facts` never hold secrets. */
export interface Logger {
  debug(message: string, facts?: Facts): void;
  info(message: string, facts?: Facts): void;
  warn(message: string, facts?: Facts): void;
  error(message: string, facts?: Facts): void;
}

const nothing = (): void => undefined;

export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
