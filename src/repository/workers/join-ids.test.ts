import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { joinIds } from "./join-ids.ts";

test("joined ids have memory of their own, so that a message takes nothing else along", () => {
  const ids = [randomBytes(32), randomBytes(32)];
  const joined = joinIds(ids);
  expect(Buffer.concat(ids).equals(joined)).toBe(true);
  expect(joined.buffer.byteLength).toBe(64);
  expect(joinIds([]).length).toBe(0);
});
