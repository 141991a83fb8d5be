import { type ErrorCode, type ErrorCodeInfo, errorCodes } from "./error-codes.ts";

/** Facts of an error or event: primitives, no secrets. */
export type Facts = Readonly<Record<string, string | number | boolean | null>>;

export interface HoldfastErrorOptions {
  readonly facts?: Facts;
  /** The next step for a person, a full sentence or a command. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/** The one error class. The message says what and where; `remedy` what to do. */
export class HoldfastError extends Error {
  readonly code: ErrorCode;
  readonly facts: Facts;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, options: HoldfastErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "HoldfastError";
    this.code = code;
    this.facts = options.facts ?? {};
    this.remedy = options.remedy;
  }

  get info(): ErrorCodeInfo {
    return errorCodes[this.code];
  }
}

/** True for a HoldfastError, of this code if one is given. */
export function isHoldfastError(error: unknown, code?: ErrorCode): error is HoldfastError {
  return error instanceof HoldfastError && (code === undefined || error.code === code);
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node system error such as ENOENT, else undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    !(error instanceof HoldfastError)
    ? error.code
    : undefined;
}

/** Throws INTERRUPTED if the signal is aborted, with the abort's own HoldfastError where it carries one. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  if (signal.reason instanceof HoldfastError) throw signal.reason;
  throw new HoldfastError("INTERRUPTED", "The operation was interrupted.", { cause: signal.reason });
}
