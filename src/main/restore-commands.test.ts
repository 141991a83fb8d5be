import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { beforeAll, describe, expect, test } from "vitest";
import { createLive, folder, holdfast, useShop } from "./testing/shop-commands.ts";

useShop();
beforeAll(async () => {
  expect((await holdfast("init")).exit).toBe(0);
  expect((await holdfast("environment:activate staging")).exit).toBe(0);
});

describe("restores", () => {
  const damage = async (): Promise<void> => {
    await writeFile(join(folder, "media/a.txt"), "changed");
    await rm(join(folder, "media/2026"), { recursive: true });
    const database = new DatabaseSync(join(folder, "flags.db"));
    database.exec("DELETE FROM flag");
    database.close();
  };
  const flags = (): number => {
    const database = new DatabaseSync(join(folder, "flags.db"));
    const count = Number(database.prepare("SELECT count(*) AS n FROM flag").get()?.["n"]);
    database.close();
    return count;
  };

  test("bring everything back once the environment's name is typed", async () => {
    await createLive();
    await damage();
    const wrong = await holdfast("backup:restore", { typed: "y" });
    expect(wrong.exit).toBe(1);
    expect(wrong.err).toContain("Type the environment's name to continue:");
    expect(await readFile(join(folder, "media/a.txt"), "utf8")).toBe("changed");
    const { exit, err } = await holdfast("backup:restore", { typed: "main" });
    expect(err).toContain("This replaces the data of 1 service and 1 mount.");
    expect(err).toContain("Restored main to ");
    expect(exit).toBe(0);
    expect(await readFile(join(folder, "media/a.txt"), "utf8")).toBe("alpha");
    expect(await readFile(join(folder, "media/2026/01.txt"), "utf8")).toBe("january");
    expect(flags()).toBe(1);
  });

  test("bring back one path of one component", async () => {
    await createLive();
    await damage();
    const text = await holdfast("backup:restore --yes --only mount:app/media:2026");
    expect(text.err).toContain("This replaces mount:app/media:2026. ");
    expect(text.err).toMatch(/\nRestored mount:app\/media:2026 of main to \d+ /);
    const missing = await holdfast("backup:restore --only mount:app/media:2025", { typed: "main" });
    expect(missing.err).toContain("SOURCE_NOT_FOUND");
    expect(missing.err).not.toContain("Type the environment's name");
    await damage();
    const { exit, out } = await holdfast("backup:restore --yes --only mount:app/media:2026 --format json");
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      environment: "main",
      into: null,
      components: [{ source: "mount:app/media" }],
    });
    expect(await readFile(join(folder, "media/2026/01.txt"), "utf8")).toBe("january");
    expect(await readFile(join(folder, "media/a.txt"), "utf8")).toBe("changed");
    expect(flags()).toBe(0);
  });

  test("bring no path back through a link that somebody put in the way", async () => {
    await createLive();
    const elsewhere = join(folder, "elsewhere");
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, "01.txt"), "not ours");
    await rename(join(folder, "media/2026"), join(folder, "media/kept"));
    await symlink(elsewhere, join(folder, "media/2026"));
    for (const path of ["2026/01.txt", "2026"]) {
      const { exit, err } = await holdfast(`backup:restore --yes --only mount:app/media:${path}`);
      expect(err).toContain("is a link");
      expect(exit).toBe(1);
    }
    expect(await readFile(join(elsewhere, "01.txt"), "utf8")).toBe("not ours");
    await rm(join(folder, "media/2026"));
    await rename(join(folder, "media/kept"), join(folder, "media/2026"));
    await rm(elsewhere, { recursive: true });
  });

  test("write into a folder and leave the environment alone", async () => {
    await createLive();
    await damage();
    const { exit } = await holdfast("backup:restore --into out/here");
    expect(exit).toBe(0);
    expect(await readFile(join(folder, "out/here/mounts/app/media/a.txt"), "utf8")).toBe("alpha");
    expect(await readFile(join(folder, "media/a.txt"), "utf8")).toBe("changed");
    expect((await holdfast("backup:restore --into out/here")).err).toContain("is not empty");
  });

  test("go to another environment with --target", async () => {
    await createLive();
    const { exit, err } = await holdfast("backup:restore --target staging --yes");
    expect(err).toContain(
      "Not restored, since the environment has no such component, or one of another kind: service:flags.",
    );
    expect(exit).toBe(0);
    expect(await readFile(join(folder, "staging-media/a.txt"), "utf8")).toBe("alpha");
  });

  test("refuse what they cannot do", async () => {
    expect((await holdfast("backup:restore --branch-from main --target new --yes")).err).toContain(
      "--branch-from has no use",
    );
    expect((await holdfast("backup:restore --only nonsense --yes")).err).toContain("this names no component");
    expect((await holdfast("backup:restore --only service:other --yes")).err).toContain("SOURCE_NOT_FOUND");
    expect((await holdfast("backup:restore --only service:flags:part --yes")).err).toContain("only be restored whole");
  });
});

describe("looking into a backup", () => {
  test("lists a directory", async () => {
    const id = await createLive();
    const list = await holdfast(`backup:files ${id} mounts/app/media --format csv --columns mode,size,name`);
    expect(list.out).toMatch(/^Mode,Size,Name\ndrwxr-xr-x,,2026\/\n-rw-r--r--,5,a\.txt\n$/);
    const json = JSON.parse((await holdfast("backup:files mounts/app/media --format json")).out) as unknown;
    expect(json).toMatchObject([
      { name: "2026", type: "dir" },
      { name: "a.txt", size: 5, mode: "0644" },
    ]);
    const selected = await holdfast(`backup:files ${id} mount:app/media:2026`);
    expect(selected).toEqual(await holdfast(`backup:files ${id} mounts/app/media/2026`));
    expect(selected.out).toContain("01.txt");
    expect((await holdfast("backup:files service:none")).err).toContain("SOURCE_NOT_FOUND");
    expect((await holdfast("backup:files mounts/none")).err).toContain("SOURCE_NOT_FOUND");
  });

  test("writes an archive whole or not at all", async () => {
    await createLive();
    expect((await holdfast("backup:download -o a.tar")).exit).toBe(0);
    const { size } = await stat(join(folder, "a.tar"));
    expect(size % 512).toBe(0);
    expect((await holdfast("backup:download -o a.tar")).err).toContain("exists and will be replaced");
    const before = await readdir(folder);
    expect((await holdfast("backup:download -o b.tar --only mount:app/media:nothing")).err).toContain(
      "SOURCE_NOT_FOUND",
    );
    expect((await holdfast("backup:download -o no/such/folder.tar")).err).toContain("cannot be written");
    expect(await readdir(folder)).toEqual(before);
    const piped = await holdfast("backup:download -o - --only service:flags");
    expect(piped.out).toContain("services/flags/");
    expect(piped.out).toContain("ustar");
  });
});
