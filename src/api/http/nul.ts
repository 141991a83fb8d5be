import { HoldfastError } from "../../base/index.ts";

/** The text, which a PostgreSQL catalog could not even be asked for if it had one. @throws HoldfastError INPUT_INVALID */
export function withoutNul(text: string): string {
  if (!text.includes("\0")) return text;
  throw new HoldfastError("INPUT_INVALID", "The request has a NUL character.");
}
