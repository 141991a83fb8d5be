import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HoldfastError } from "../../base/index.ts";
import { envelopeOverhead, type MasterKey, openEnvelope, Sealer, sealEnvelope } from "./envelope.ts";

const key: MasterKey = { encrypt: randomBytes(32), macK: randomBytes(16), macR: randomBytes(16) };

describe("envelope", () => {
  it("opens what it sealed, whatever the size, and is AES-256-CTR inside", () => {
    const sealer = new Sealer(key);
    fc.assert(
      fc.property(fc.oneof(fc.nat(300), fc.integer({ min: 32_700, max: 32_800 }), fc.nat(200_000)), (size) => {
        const plaintext = randomBytes(size);
        const sealed = sealer.seal(plaintext);
        expect(sealed.length).toBe(size + envelopeOverhead);
        expect(sealer.open(sealed).equals(plaintext)).toBe(true);
        const decipher = createDecipheriv("aes-256-ctr", key.encrypt, sealed.subarray(0, 16));
        expect(decipher.update(sealed.subarray(16, -16)).equals(plaintext)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it("carries the counter through all 128 bits", () => {
    for (const suffix of ["ffffffff", "ffffffffffffffff", "ffffffffffffffffffffffff", "f".repeat(32)]) {
      const iv = Buffer.from(suffix.padStart(32, "a"), "hex");
      const plaintext = randomBytes(100);
      const ciphertext = createCipheriv("aes-256-ctr", key.encrypt, iv).update(plaintext);
      const sealed = Buffer.concat([iv, ciphertext, tagOf(iv, ciphertext)]);
      expect(openEnvelope(key, sealed).equals(plaintext)).toBe(true);
    }
  });

  it("refuses every flipped bit and every truncation", () => {
    const sealed = sealEnvelope(key, randomBytes(50));
    const expectRefused = (bytes: Buffer): void => {
      expect(() => openEnvelope(key, bytes, "index abc")).toThrow(/index abc/);
      expect(() => openEnvelope(key, bytes)).toThrow(HoldfastError);
    };
    for (let at = 0; at < sealed.length; at += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const changed = Buffer.from(sealed);
        changed[at] = (changed[at] as number) ^ (1 << bit);
        expectRefused(changed);
      }
      expectRefused(sealed.subarray(0, at));
    }
  });

  it("refuses another key's envelope", () => {
    const other = { ...key, macK: randomBytes(16) };
    expect(() => openEnvelope(other, sealEnvelope(key, randomBytes(9)))).toThrow(HoldfastError);
  });

  it("seals into the middle of a buffer and leaves the rest alone", () => {
    const target = Buffer.alloc(100, 7);
    const length = new Sealer(key).sealInto(Buffer.from("hello"), target, 11);
    expect(length).toBe(37);
    expect(target.subarray(0, 11)).toEqual(Buffer.alloc(11, 7));
    expect(target.subarray(48)).toEqual(Buffer.alloc(52, 7));
    expect(openEnvelope(key, target.subarray(11, 48)).toString()).toBe("hello");
  });
});

/** The tag by way of RFC 8439's arithmetic, to compare with another implementation than sodium's. */
function tagOf(iv: Buffer, message: Buffer): Buffer {
  const pad = createCipheriv("aes-128-ecb", key.macK, null).setAutoPadding(false).update(iv);
  const number = (bytes: Buffer): bigint => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
  const r = number(Buffer.from(key.macR)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16) {
    const block = Buffer.concat([message.subarray(at, at + 16), Buffer.of(1)]);
    sum = ((sum + number(block)) * r) % (2n ** 130n - 5n);
  }
  const tag = (sum + number(pad)) & (2n ** 128n - 1n);
  return Buffer.from(tag.toString(16).padStart(32, "0"), "hex").reverse();
}
