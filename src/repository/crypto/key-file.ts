import { randomBytes, scrypt } from "node:crypto";
import { hostname } from "node:os";
import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import { damaged, parseStoredJson, storedObject } from "../damage.ts";
import { parseGoTime } from "../tree/go-time.ts";
import { processUser } from "../process-user.ts";
import { type MasterKey, openEnvelope, sealEnvelope } from "./envelope.ts";

/** The cost of trying one password: memory is 128 * N * r bytes, time grows with N * r * p. */
export interface ScryptParameters {
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/** What restic settles on for about half a second and 32 MiB. */
export const defaultScrypt: ScryptParameters = { N: 32_768, r: 8, p: 2 };

const saltSize = 64;
/** A key file that asks for more than this is refused: it would only exhaust the memory. */
const maxScryptBytes = 1024 * 1024 * 1024;

/** A fresh random key for a new repository. */
export function generateMasterKey(): MasterKey {
  return { encrypt: randomBytes(32), macK: randomBytes(16), macR: randomBytes(16) };
}

/** The bytes of a key file (`keys/<sha256 of them>`) that holds the master key under this password. */
export async function createKeyFile(
  master: MasterKey,
  password: string,
  createdAt: Date,
  parameters: ScryptParameters = defaultScrypt,
): Promise<Buffer> {
  const salt = randomBytes(saltSize);
  const user = await deriveUserKey(password, salt, parameters);
  const plain = {
    mac: { k: base64(master.macK), r: base64(master.macR) },
    encrypt: base64(master.encrypt),
  };
  const data = sealEnvelope(user, Buffer.from(JSON.stringify(plain)));
  const { N, r, p } = parameters;
  return Buffer.from(
    JSON.stringify({
      created: createdAt.toISOString(),
      username: processUser().username,
      hostname: hostname(),
      kdf: "scrypt",
      N,
      r,
      p,
      salt: base64(salt),
      data: base64(data),
    }),
  );
}

/**
 * The master key, or undefined if this file is of another password.
 * @throws HoldfastError REPOSITORY_DAMAGED naming `what`, REPOSITORY_UNSUPPORTED for another way of deriving keys
 */
export async function openKeyFile(bytes: Uint8Array, password: string, what: string): Promise<MasterKey | undefined> {
  const file = storedObject(parseStoredJson(bytes, what), what);
  if (file["kdf"] !== "scrypt") throw new HoldfastError("REPOSITORY_UNSUPPORTED", `The ${what} does not use scrypt.`);
  const parameters = {
    N: wholeNumber(file["N"], what),
    r: wholeNumber(file["r"], what),
    p: wholeNumber(file["p"], what),
  };
  const salt = decodeBase64(file["salt"], what);
  const data = decodeBase64(file["data"], what);
  if (salt.length !== saltSize) throw damaged(`The salt of the ${what} has ${salt.length} bytes.`);
  const user = await deriveUserKey(password, salt, parameters, what);
  let plain: Buffer;
  try {
    plain = openEnvelope(user, data, what);
  } catch (error) {
    if (isHoldfastError(error, "REPOSITORY_DAMAGED")) return undefined;
    throw error;
  }
  const stored = storedObject(parseStoredJson(plain, what), what);
  const mac = storedObject(stored["mac"], what);
  const master = {
    encrypt: decodeBase64(stored["encrypt"], what),
    macK: decodeBase64(mac["k"], what),
    macR: decodeBase64(mac["r"], what),
  };
  const sizesFit = master.encrypt.length === 32 && master.macK.length === 16 && master.macR.length === 16;
  if (!sizesFit || Object.values(master).some((part) => part.every((byte) => byte === 0))) {
    throw damaged(`The ${what} holds an unusable key.`);
  }
  return master;
}

/** What a key file says of itself, in the clear. */
export interface KeyDescription {
  readonly createdAt: Date;
  readonly username: string;
  readonly hostname: string;
}

/** @throws HoldfastError REPOSITORY_DAMAGED naming `what` */
export function describeKeyFile(bytes: Uint8Array, what: string): KeyDescription {
  const { created, username, hostname: host, kdf, data } = storedObject(parseStoredJson(bytes, what), what);
  const ns = parseGoTime(created);
  if (ns === undefined || typeof kdf !== "string" || typeof data !== "string")
    throw damaged(`The ${what} is malformed.`);
  return {
    createdAt: new Date(Number(ns / 1_000_000n)),
    username: typeof username === "string" ? username : "",
    hostname: typeof host === "string" ? host : "",
  };
}

async function deriveUserKey(
  password: string,
  salt: Buffer,
  { N, r, p }: ScryptParameters,
  what = "key file",
): Promise<MasterKey> {
  const powerOfTwo = N > 1 && Number.isInteger(Math.log2(N));
  if (!powerOfTwo || r < 1 || p < 1 || p > 64 || 128 * N * r > maxScryptBytes) {
    throw new HoldfastError("REPOSITORY_UNSUPPORTED", `The ${what} asks for scrypt with N=${N}, r=${r}, p=${p}.`);
  }
  const maxmem = 128 * r * (N + p + 4) + 1024 * 1024;
  const derived = await new Promise<Buffer>((resolve, reject) => {
    scrypt(password, salt, 64, { N, r, p, maxmem }, (error, key) => (error ? reject(error) : resolve(key)));
  });
  return { encrypt: derived.subarray(0, 32), macK: derived.subarray(32, 48), macR: derived.subarray(48, 64) };
}

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");

function decodeBase64(value: unknown, what: string): Buffer {
  if (typeof value !== "string" || !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) {
    throw damaged(`The ${what} has a value that is not base64.`);
  }
  return Buffer.from(value, "base64");
}

function wholeNumber(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    throw damaged(`The ${what} has no valid scrypt parameters.`);
  }
  return value;
}
