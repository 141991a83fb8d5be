import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { config, folder, holdfast, useShop } from "./testing/shop-commands.ts";

useShop();

const passwordOf = async (file: string): Promise<string> => (await readFile(join(folder, file), "utf8")).trim();

test("a password is added, changed and removed; the last and the one in use stay", async () => {
  expect((await holdfast("init")).exit).toBe(0);
  const first = await passwordOf("repository.key");
  const added = await holdfast("repo:key:add --new-password-file other.key");
  expect(added.exit, added.err).toBe(0);
  expect((await stat(join(folder, "other.key"))).mode & 0o777).toBe(0o600);
  const list = (await holdfast("repo:key:list --format csv --no-header --columns id,in_use")).out.trim().split("\n");
  expect(list).toHaveLength(2);
  const inUse = list.find((line) => line.endsWith(",true"))?.slice(0, 64) ?? "";
  const other = list.find((line) => line.endsWith(",false"))?.slice(0, 64) ?? "";
  expect(added.out).toBe(`${other}\n`);

  const refused = await holdfast(`repo:key:remove ${inUse.slice(0, 10)}`);
  expect([refused.exit, refused.err.includes("--in-use")]).toEqual([1, true]);
  expect((await holdfast("repo:key:remove zz")).exit).toBe(1);

  expect((await holdfast("repo:key:password")).exit).toBe(0);
  const changed = await passwordOf("repository.key");
  expect(changed).not.toBe(first);
  expect(await readdir(folder)).not.toContain("repository.key.new");
  expect((await holdfast(`repo:key:remove ${other}`)).exit).toBe(0);
  const last = (await holdfast("repo:key:list --format csv --no-header --columns id")).out.trim();
  const kept = await holdfast(`repo:key:remove ${last} --in-use`);
  expect([kept.exit, kept.err.includes("is the last one")]).toEqual([1, true]);
});

test("a change of the password that was killed goes on with the same new one", async () => {
  await writeFile(join(folder, "repository.key.new"), "begun earlier\n", { mode: 0o600 });
  expect((await holdfast("repo:key:password")).exit).toBe(0);
  expect(await passwordOf("repository.key")).toBe("begun earlier");
  expect((await holdfast("repo:stats")).exit).toBe(0);
});

test("the password comes from a command or a variable as well, and from one place only", async () => {
  const withSource = async (name: string, source: string): Promise<void> =>
    writeFile(join(folder, name), config("upsun").replace("passwordFile: ./repository.key", source));
  await withSource("command.yaml", `passwordCommand: [sh, -c, "cat '${join(folder, "repository.key")}'; echo more"]`);
  expect((await holdfast("-c command.yaml repo:stats")).exit).toBe(0);
  await withSource("line.yaml", "passwordCommand: echo out; echo said >&2; exit 3");
  const failed = await holdfast("-c line.yaml repo:stats");
  expect(failed.exit).toBe(4);
  expect(failed.err).toContain("The password command /bin/sh failed (3): said.");
  await withSource("nothing.yaml", "passwordCommand: [/no/such/program]");
  expect((await holdfast("-c nothing.yaml repo:stats")).err).toContain("cannot be started");

  await withSource("variable.yaml", "passwordVariable: SHOP_PASSWORD");
  const env = { SHOP_PASSWORD: await passwordOf("repository.key") };
  expect((await holdfast("-c variable.yaml repo:stats", { env })).exit).toBe(0);
  expect((await holdfast("-c variable.yaml repo:stats", { env: { SHOP_PASSWORD: "wrong" } })).exit).toBe(12);
  expect((await holdfast("-c variable.yaml repo:stats")).exit).toBe(4);
  expect((await holdfast("-c variable.yaml repo:key:password", { env })).err).toContain("repo:key:add");

  await withSource("both.yaml", "passwordFile: ./repository.key\n      passwordVariable: SHOP_PASSWORD");
  expect((await holdfast("-c both.yaml repo:stats")).err).toContain("2 are given");
  await withSource("none.yaml", "required: 1");
  expect((await holdfast("-c none.yaml repo:stats")).err).toContain("0 are given");
});
