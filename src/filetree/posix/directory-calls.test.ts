import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { directoryCalls, hasNoXattrs, namesIn, statAt } from "./directory-calls.ts";
import { setModificationTime } from "./files.ts";
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
    expect(fields.map((field) => BigInt(found[field]))).toEqual(fields.map((field) => expected[field]));
  }
  const devices = openSync("/dev", "r");
  for (const name of ["null", "random"]) {
    const expected = lstatSync(join("/dev", name), { bigint: true });
    const found = statAt(devices, Buffer.from(name));
    expect(fields.map((field) => BigInt(found[field]))).toEqual(fields.map((field) => expected[field]));
  }
  closeSync(devices);
});

test("times are exact to the nanosecond, before 1970 too", () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  const times = [0n, 1n, -1n, 999_999_999n, -2_000_000_001n, 1_764_072_000_123_456_789n, 4_294_967_296_000_000_007n];
  for (const mtimeNs of times) {
    setModificationTime(Buffer.from(file), mtimeNs);
    const { mtimeNs: expected } = lstatSync(file, { bigint: true });
    expect(statAt(fd, Buffer.from("file")).mtimeNs).toBe(expected);
  }
});

test("names come sorted, each time anew, also of more than one call holds", () => {
  expect(directoryCalls.listing).toBe(true);
  const odd = Buffer.of(0xff, 0x20, 0x0a);
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), odd]), "");
  for (const name of ["..x", ".x", "a"]) mkdirSync(join(folder, name));
  expect(namesIn(fd)).toEqual(["..x", ".x", "a"].map((name) => Buffer.from(name)).concat([odd]));
  for (let number = 0; number < 3000; number += 1) writeFileSync(join(folder, `${number}`.padStart(100, "n")), "");
  const expected = readdirSync(folder, { encoding: "buffer" }).toSorted((a, b) => Buffer.compare(a, b));
  expect(expected).toHaveLength(3004);
  expect(namesIn(fd)).toEqual(expected);
  expect(namesIn(fd)).toEqual(expected);
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
