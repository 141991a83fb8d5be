import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeDirectories } from "./make-directories.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-make-directories-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("making directories", () => {
  it("makes all that are missing, with the mode, and says whether there was anything to do", async () => {
    const path = join(folder, "a/b/c");
    expect(await makeDirectories(path, 0o700)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(await makeDirectories(path, 0o700)).toBe(false);
    expect(await makeDirectories("/", 0o700)).toBe(false);
  });

  it("is done once by several at the same time", async () => {
    const path = join(folder, "a/b");
    const made = await Promise.all([1, 2, 3].map(() => makeDirectories(path, 0o700)));
    expect(made.filter(Boolean).length).toBeGreaterThanOrEqual(1);
    expect(statSync(path).isDirectory()).toBe(true);
  });

  it("fails at once where a file is in the way, or nothing can be made", async () => {
    writeFileSync(join(folder, "file"), "");
    await expect(makeDirectories(join(folder, "file"), 0o700)).rejects.toMatchObject({ code: "ENOTDIR" });
    await expect(makeDirectories(join(folder, "file/below"), 0o700)).rejects.toMatchObject({ code: "ENOTDIR" });
    await expect(makeDirectories("/proc/holdfast", 0o700)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(makeDirectories("/proc/holdfast/below", 0o700)).rejects.toMatchObject({ code: "ENOENT" });
  });
});
