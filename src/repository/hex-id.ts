import { createHash } from "node:crypto";
import type { HexId } from "./repository.ts";

const pattern = /^[0-9a-f]{64}$/;

export function isHexId(value: unknown): value is HexId {
  return typeof value === "string" && pattern.test(value);
}

/** SHA-256 of stored bytes: the name of the file that holds them. */
export function hexIdOf(bytes: Uint8Array): HexId {
  return createHash("sha256").update(bytes).digest("hex");
}
