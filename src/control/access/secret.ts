import { createHash, randomBytes } from "node:crypto";

/** A secret that nobody can guess, as it is shown once, and the form in which it is kept. */
export interface NewSecret {
  readonly secret: string;
  readonly hash: string;
}

/** What a secret is for; secrets begin with it, so that scanners and people know a leaked one. */
export type SecretPrefix = "hft" | "hfa" | "hfr" | "hfl";

/** 256 random bits: no dictionary helps against their hash, so a fast one does. */
export function newSecret(prefix: SecretPrefix): NewSecret {
  const secret = `${prefix}_${randomBytes(32).toString("base64url")}`;
  return { secret, hash: hashSecret(secret) };
}

/**
 * SHA-256 in hexadecimal. Rows are found by it: how long the search takes tells only of the hash, from which no secret
 * can be made.
 */
export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
