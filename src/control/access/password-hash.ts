import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { HoldfastError } from "../../base/index.ts";

/** OWASP's figures for scrypt (Password Storage Cheat Sheet): 64 MiB, about 0.3 s of one core. */
const cost = { N: 2 ** 16, r: 8, p: 2 } as const;
const hashBytes = 32;
const saltBytes = 16;

/** Shorter ones are guessed; longer ones cost nothing but are a way to make a server hash a novel. */
const passwordLength = { min: 12, max: 256 } as const;

/** Each takes 64 MiB: more at once would let sign-ins use up the machine's memory. */
const hashesAtOnce = 2;
let running = 0;
const waiting: (() => void)[] = [];

/** @throws HoldfastError INPUT_INVALID for a password that is too short or too long */
export function assertPasswordUsable(password: string): void {
  const { length } = password;
  if (length >= passwordLength.min && length <= passwordLength.max) return;
  throw new HoldfastError(
    "INPUT_INVALID",
    `A password has ${passwordLength.min} to ${passwordLength.max} characters; this one has ${length}.`,
    { remedy: "Take several words that nobody would guess together." },
  );
}

/** "scrypt$65536$8$2$SALT$HASH", with a new salt. @throws HoldfastError INPUT_INVALID */
export async function hashPassword(password: string): Promise<string> {
  assertPasswordUsable(password);
  const salt = randomBytes(saltBytes);
  const hash = await derive(password, salt, cost);
  return ["scrypt", cost.N, cost.r, cost.p, salt.toString("base64url"), hash.toString("base64url")].join("$");
}

/**
 * True if the password is the one that `stored` was made of. Takes as long without `stored` (a user who does not exist, or
 * has no password), so that time tells nobody which users there are.
 */
export async function verifyPassword(password: string, stored: string | null): Promise<boolean> {
  const [, N, r, p, salt = "", hash = ""] = (stored ?? `scrypt$${cost.N}$${cost.r}$${cost.p}$AAAA$`).split("$");
  const expected = Buffer.from(hash, "base64url");
  const found = await derive(password.slice(0, passwordLength.max + 1), Buffer.from(salt, "base64url"), {
    N: Number(N),
    r: Number(r),
    p: Number(p),
  });
  return stored !== null && expected.length === found.length && timingSafeEqual(expected, found);
}

async function derive(password: string, salt: Buffer, { N, r, p }: Record<"N" | "r" | "p", number>): Promise<Buffer> {
  if (running >= hashesAtOnce) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      scrypt(password.normalize("NFC"), salt, hashBytes, { N, r, p, maxmem: 256 * N * r }, (error, key) =>
        error === null ? resolve(key) : reject(error),
      );
    });
  } finally {
    const next = waiting.shift();
    // The next one takes over this one's place.
    if (next === undefined) running -= 1;
    else next();
  }
}
