import { type Cipheriv, createCipheriv, randomFillSync } from "node:crypto";
import sodium from "sodium-native";
import { damaged } from "../damage.ts";
import { type CounterMode, counterMode } from "./counter-mode.ts";

/** The keys of a repository, or of one password ("user key"). Lengths: 32, 16 and 16 bytes. */
export interface MasterKey {
  readonly encrypt: Uint8Array;
  readonly macK: Uint8Array;
  readonly macR: Uint8Array;
}

const ivSize = 16;
const tagSize = 16;
/** Bytes that an envelope is longer than what it holds. */
export const envelopeOverhead = ivSize + tagSize;

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

/**
 * Seals and opens envelopes of one key: IV (16) | AES-256-CTR ciphertext | Poly1305 tag (16) over the ciphertext.
 * Keeps its ciphers, so make one per thread and keep it. Not for use by two threads at once.
 */
export class Sealer {
  readonly #counterMode: CounterMode;
  /** AES-128-ECB of the IV is the second half of the Poly1305 key. */
  readonly #padCipher: Cipheriv;
  readonly #macKey = Buffer.alloc(32);
  readonly #tag = Buffer.alloc(tagSize);
  readonly #ivPool = Buffer.alloc(ivSize * 256);
  #ivAt = this.#ivPool.length;

  constructor(key: MasterKey) {
    if (key.encrypt.length !== 32 || key.macK.length !== 16 || key.macR.length !== 16) {
      throw new TypeError("A master key has 32, 16 and 16 bytes.");
    }
    this.#counterMode = counterMode(key.encrypt);
    this.#padCipher = createCipheriv("aes-128-ecb", key.macK, null).setAutoPadding(false);
    this.#macKey.set(key.macR, 0);
  }

  seal(plaintext: Uint8Array): Buffer {
    const sealed = Buffer.allocUnsafe(plaintext.length + envelopeOverhead);
    this.sealInto(plaintext, sealed, 0);
    return sealed;
  }

  /** Writes the envelope to `target` from `offset` on and returns its length: `plaintext.length + envelopeOverhead`. */
  sealInto(plaintext: Uint8Array, target: Uint8Array, offset: number): number {
    const length = plaintext.length + envelopeOverhead;
    if (offset < 0 || offset + length > target.length) throw new RangeError("The envelope does not fit the target.");
    const sealed = asBuffer(target).subarray(offset, offset + length);
    const iv = sealed.subarray(0, ivSize);
    this.#nextIv(iv);
    const ciphertext = sealed.subarray(ivSize, length - tagSize);
    this.#counterMode.crypt(iv, plaintext, ciphertext);
    this.#prepareMacKey(iv);
    sodium.crypto_onetimeauth(sealed.subarray(length - tagSize), ciphertext, this.#macKey);
    return length;
  }

  /**
   * Verifies the tag in constant time, then decrypts into a new buffer. `what` names the envelope in errors.
   * @throws HoldfastError REPOSITORY_DAMAGED
   */
  open(sealed: Uint8Array, what = "encrypted data"): Buffer {
    const { iv, ciphertext } = this.#verify(sealed, what);
    const plaintext = Buffer.allocUnsafe(ciphertext.length);
    this.#counterMode.crypt(iv, ciphertext, plaintext);
    return plaintext;
  }

  /** As `open`, into `target` from `offset` on; returns the length of the plaintext. */
  openInto(sealed: Uint8Array, target: Uint8Array, offset: number, what = "encrypted data"): number {
    const length = sealed.length - envelopeOverhead;
    if (length >= 0 && (offset < 0 || offset + length > target.length)) {
      throw new RangeError("The plaintext does not fit the target.");
    }
    const { iv, ciphertext } = this.#verify(sealed, what);
    this.#counterMode.crypt(iv, ciphertext, target.subarray(offset, offset + length));
    return length;
  }

  /** The parts of an envelope that is what was sealed. @throws HoldfastError REPOSITORY_DAMAGED */
  #verify(sealed: Uint8Array, what: string): { readonly iv: Buffer; readonly ciphertext: Buffer } {
    const length = sealed.length - envelopeOverhead;
    if (length < 0) throw damaged(`The ${what} is too short: ${sealed.length} bytes.`);
    const envelope = asBuffer(sealed);
    const iv = envelope.subarray(0, ivSize);
    const ciphertext = envelope.subarray(ivSize, ivSize + length);
    this.#tag.set(envelope.subarray(ivSize + length));
    this.#prepareMacKey(iv);
    if (isZero(iv) || !sodium.crypto_onetimeauth_verify(this.#tag, ciphertext, this.#macKey)) {
      throw damaged(`The ${what} does not match its authentication tag: it was changed, or is of another key.`);
    }
    return { iv, ciphertext };
  }

  #prepareMacKey(iv: Buffer): void {
    this.#macKey.set(this.#padCipher.update(iv), 16);
  }

  #nextIv(iv: Buffer): void {
    do {
      if (this.#ivAt === this.#ivPool.length) {
        randomFillSync(this.#ivPool);
        this.#ivAt = 0;
      }
      iv.set(this.#ivPool.subarray(this.#ivAt, this.#ivAt + ivSize));
      this.#ivAt += ivSize;
    } while (isZero(iv));
  }
}

function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
}

/** One envelope with fresh ciphers; for many, keep a `Sealer`. */
export function sealEnvelope(key: MasterKey, plaintext: Uint8Array): Buffer {
  return new Sealer(key).seal(plaintext);
}

/** @throws HoldfastError REPOSITORY_DAMAGED; `what` names the envelope */
export function openEnvelope(key: MasterKey, sealed: Uint8Array, what?: string): Buffer {
  return new Sealer(key).open(sealed, what);
}
