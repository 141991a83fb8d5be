import { describe, expect, it } from "vitest";
import { base32, isBackupId, newBackupId, newOperationId } from "./ids.ts";

describe("ids", () => {
  // Test vectors of RFC 4648, section 10, without padding and in lower case.
  it.each([
    ["", ""],
    ["f", "my"],
    ["fo", "mzxq"],
    ["foo", "mzxw6"],
    ["foob", "mzxw6yq"],
    ["fooba", "mzxw6ytb"],
    ["foobar", "mzxw6ytboi"],
  ])("encode %j as %j", (text, encoded) => {
    expect(base32(Buffer.from(text))).toBe(encoded);
  });

  it("of backups are 26 characters that are recognised, and differ", () => {
    const ids = Array.from({ length: 100 }, newBackupId);
    expect(new Set(ids).size).toBe(100);
    expect(ids.every(isBackupId)).toBe(true);
    expect(isBackupId("7HQ2M5W3K4PZC6TDRNX8VBYFJE")).toBe(false);
    expect(isBackupId("short")).toBe(false);
  });

  it("of operations are 12 characters that a database's name may have", () => {
    expect(newOperationId()).toMatch(/^[a-z2-7]{12}$/);
  });
});
