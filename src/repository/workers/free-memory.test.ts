import { expect, test } from "vitest";
import { freeHandedOver, freeMemory } from "./free-memory.ts";

test("frees what is large and whole, and nothing that others may use", () => {
  const whole = new Uint8Array(100_000);
  freeMemory(whole);
  expect(whole).toHaveLength(0);
  freeMemory(whole);

  const memory = new Uint8Array(200_000);
  freeMemory(memory.subarray(0, 100_000));
  expect(memory).toHaveLength(200_000);
  const pooled = Buffer.from("a small one of the common pool");
  freeMemory(pooled);
  expect(pooled.toString()).toContain("common pool");
  const shared = new Uint8Array(new SharedArrayBuffer(100_000));
  freeMemory(shared);
  freeHandedOver(shared);
  expect(shared).toHaveLength(100_000);
});

test("frees the memory around a pack that was handed over", () => {
  const memory = new Uint8Array(200_000);
  freeHandedOver(memory.subarray(0, 10));
  expect(memory).toHaveLength(0);
  const small = new Uint8Array(100);
  freeHandedOver(small);
  expect(small).toHaveLength(100);
});
