import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { createLive, folder, holdfast, useShop } from "./testing/shop-commands.ts";

useShop();
beforeAll(async () => {
  expect((await holdfast("init")).exit).toBe(0);
});

const out = (path: string): string => join(folder, path);

test("mount:download writes a mount as it was, with links, modes and times", async () => {
  const long = `${"long ".repeat(30)}name`;
  await writeFile(out(`media/${long}`), "long");
  await symlink("a.txt", out("media/symlink"));
  await link(out("media/a.txt"), out("media/2026/second-name"));
  await writeFile(Buffer.concat([Buffer.from(out("media/")), Buffer.from([0x66, 0xff])]), "not UTF-8");
  await chmod(out("media/a.txt"), 0o640);
  await utimes(out("media/a.txt"), 1_600_000_000, 1_600_000_000);
  await utimes(out("media/2026"), 1_500_000_000, 1_500_000_000);
  execFileSync("mkfifo", [out("media/fifo")]);
  const id = await createLive();
  await writeFile(out("media/a.txt"), "changed");
  const { exit, err } = await holdfast("mount:download --target copy");
  expect(err).toMatch(
    new RegExp(
      `^Writing mount:app/media of the backup ${id} \\(\\d+ \\w+ \\d{4} \\d\\d:\\d\\d \\S+, just now\\) to `,
      "m",
    ),
  );
  expect(err).toContain("left out, since it is a socket or a device: fifo");
  expect(exit).toBe(3);
  expect(await readFile(out("copy/a.txt"), "utf8")).toBe("alpha");
  expect(await readFile(out("copy/2026/01.txt"), "utf8")).toBe("january");
  expect(await readFile(out(`copy/${long}`), "utf8")).toBe("long");
  expect(await readlink(out("copy/symlink"))).toBe("a.txt");
  const [first, second] = await Promise.all(["copy/a.txt", "copy/2026/second-name"].map((path) => lstat(out(path))));
  expect(second?.ino).toBe(first?.ino);
  expect([first?.mode, first?.mtimeMs]).toEqual([0o100640, 1_600_000_000_000]);
  expect((await lstat(out("copy/2026"))).mtimeMs).toBe(1_500_000_000_000);
  expect((await readdir(out("copy"), "buffer")).map((name) => name.toString("hex"))).toContain("66ff");
  await rm(out("media"), { recursive: true });
  await mkdir(out("media"));
});

test("mount:download writes into no folder that has something in it, and leaves nothing behind when it fails", async () => {
  await createLive();
  await mkdir(out("full"));
  await writeFile(out("full/mine"), "mine");
  const full = await holdfast("mount:download --target full -y");
  expect([full.exit, full.err]).toEqual([1, expect.stringContaining("is not empty")]);
  expect(await readdir(out("full"))).toEqual(["mine"]);
  expect((await holdfast("mount:download --target other -m none")).err).toContain("It has: mount:app/media.");
  expect((await holdfast("mount:download --target other --backup aaaaaaaaaaaaaaaaaaaaaaaaaa")).err).toContain(
    "BACKUP_NOT_FOUND",
  );
  expect((await holdfast("mount:download --target no/such/other")).err).toContain("cannot be written");
  expect((await readdir(folder)).filter((name) => name.startsWith("other") || name.endsWith(".partial"))).toEqual([]);
});

test("mount:download --all writes each mount into a folder of its own, also into an empty folder", async () => {
  const id = await createLive();
  const empty = await mkdtemp(out("empty-"));
  const { exit, err } = await holdfast(`mount:download --all --target ${empty} --backup ${id}`);
  expect(exit, err).toBe(0);
  expect(await readFile(join(empty, "app/media/2026/01.txt"), "utf8")).toBe("january");
});
