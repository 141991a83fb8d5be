import { expect, test } from "vitest";
import { editDistance, nearestKey } from "./nearest-key.ts";

test("counts inserted, deleted, replaced and swapped letters", () => {
  expect(editDistance("path", "path")).toBe(0);
  expect(editDistance("paht", "path")).toBe(1);
  expect(editDistance("drainTimout", "drainTimeout")).toBe(1);
  expect(editDistance("", "abc")).toBe(3);
  expect(editDistance("kitten", "sitting")).toBe(3);
});

test("finds the key that was meant, and none where nothing is near", () => {
  const known = ["type", "status", "parent", "gateway", "services"];
  expect(nearestKey("gatway", known)).toBe("gateway");
  expect(nearestKey("Services", known)).toBe("services");
  expect(nearestKey("xylophone", known)).toBeUndefined();
});
