import { closeSync, lstatSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { directoryCalls, hasNoXattrs, statAt } from "./directory-calls.ts";
import { writeXattr } from "./xattrs.ts";

let folder = "";
let fd = -1;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-calls-"));
  fd = openSync(folder, "r");
});
afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

const fields = ["dev", "ino", "mode", "nlink", "uid", "gid", "rdev", "size", "blocks", "mtimeNs", "ctimeNs"] as const;

test("a stat by descriptor and name says what Node's says, of every type of file", () => {
  expect(directoryCalls.statx).toBe(true);
  writeFileSync(join(folder, "file"), "x".repeat(9000), { mode: 0o4751 });
  mkdirSync(join(folder, "dir"), { mode: 0o1777 });
  symlinkSync("nowhere", join(folder, "link"));
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xff, 0x20, 0x0a)]), "");
  for (const name of [Buffer.from("file"), Buffer.from("dir"), Buffer.from("link"), Buffer.of(0xff, 0x20, 0x0a)]) {
    const expected = lstatSync(Buffer.concat([Buffer.from(`${folder}/`), name]), { bigint: true });
    const found = statAt(fd, name);
    expect(fields.map((field) => found[field])).toEqual(fields.map((field) => expected[field]));
  }
  const devices = openSync("/dev", "r");
  for (const name of ["null", "random"]) {
    const expected = lstatSync(join("/dev", name), { bigint: true });
    const found = statAt(devices, Buffer.from(name));
    expect(fields.map((field) => found[field])).toEqual(fields.map((field) => expected[field]));
  }
  closeSync(devices);
});

test("what is missing, too long or not a name is refused", () => {
  expect(() => statAt(fd, Buffer.from("missing"))).toThrow(expect.objectContaining({ code: "ENOENT" }));
  expect(() => statAt(fd, Buffer.alloc(300, "a"))).toThrow(expect.objectContaining({ code: "ENAMETOOLONG" }));
  expect(() => statAt(fd, Buffer.alloc(5000, "a"))).toThrow(expect.objectContaining({ code: "ENAMETOOLONG" }));
  expect(() => statAt(fd, Buffer.from("a\0b"))).toThrow(RangeError);
});

test("a file with attributes is never said to have none", () => {
  writeFileSync(join(folder, "with"), "");
  writeFileSync(join(folder, "without"), "");
  writeXattr(Buffer.from(join(folder, "with")), { name: "user.origin", value: Buffer.from("here") });
  symlinkSync("with", join(folder, "link"));
  expect(hasNoXattrs(fd, Buffer.from("with"))).toBe(false);
  expect(hasNoXattrs(fd, Buffer.from("missing"))).toBe(false);
  expect(hasNoXattrs(fd, Buffer.from("without"))).toBe(directoryCalls.listXattrAt);
  expect(hasNoXattrs(fd, Buffer.from("link"))).toBe(directoryCalls.listXattrAt);
});
