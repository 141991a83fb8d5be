import { createCipheriv, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type CounterMode, counterMode, PortableCounterMode } from "./counter-mode.ts";

test("this thread uses the library that is in Node's own program", () => {
  expect(counterMode(randomBytes(32)).constructor.name).toBe("NativeCounterMode");
});

describe.each([
  { name: "native", make: counterMode },
  { name: "portable", make: (key: Uint8Array): CounterMode => new PortableCounterMode(key) },
])("$name", ({ make }) => {
  test("gives what Node's cipher gives, at any size, and touches nothing around it", () => {
    const key = randomBytes(32);
    const mode = make(key);
    for (const size of [0, 1, 15, 16, 17, 4096, 32_767, 32_769, (3 << 20) + 5]) {
      const iv = randomBytes(16);
      const input = randomBytes(size);
      const target = Buffer.alloc(size + 9, 7);
      mode.crypt(iv, input, target.subarray(4, 4 + size));
      expect(target.subarray(4, 4 + size).equals(createCipheriv("aes-256-ctr", key, iv).update(input))).toBe(true);
      expect([...target.subarray(0, 4), ...target.subarray(4 + size)]).toEqual(Array(9).fill(7));
    }
  });

  test("carries the counter through all 128 bits", () => {
    const key = randomBytes(32);
    for (const suffix of ["ffffffff", "ffffffffffffffff", "ffffffffffffffffffffffff", "f".repeat(32)]) {
      const iv = Buffer.from(suffix.padStart(32, "a"), "hex");
      const input = randomBytes(100);
      const output = Buffer.alloc(100);
      make(key).crypt(iv, input, output);
      expect(output.equals(createCipheriv("aes-256-ctr", key, iv).update(input))).toBe(true);
    }
  });

  test("two keys in turn on one thread do not mix", () => {
    const keys = [randomBytes(32), randomBytes(32)] as const;
    const modes = keys.map(make);
    const iv = randomBytes(16);
    const input = randomBytes(1000);
    for (const at of [0, 1, 0, 1]) {
      const output = Buffer.alloc(1000);
      modes[at]?.crypt(iv, input, output);
      expect(output.equals(createCipheriv("aes-256-ctr", keys[at] as Buffer, iv).update(input))).toBe(true);
    }
  });

  test("refuses an output of another length, and a short counter block", () => {
    const mode = make(randomBytes(32));
    expect(() => mode.crypt(randomBytes(16), randomBytes(10), Buffer.alloc(9))).toThrow(RangeError);
    expect(() => mode.crypt(randomBytes(15), randomBytes(10), Buffer.alloc(10))).toThrow(RangeError);
  });
});
