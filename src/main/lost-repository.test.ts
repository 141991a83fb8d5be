import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { config, createLive, folder, holdfast, useShop } from "./testing/shop-commands.ts";

useShop();

describe("a repository that has vanished, as with a disk that is not mounted", () => {
  const at = (name: string): string => join(folder, name);

  beforeEach(async () => {
    for (const name of ["repository", "repository.key", "state"]) await rm(at(name), { recursive: true, force: true });
    expect((await holdfast("init")).exit).toBe(0);
    await createLive();
    await createLive();
    await rm(at("repository"), { recursive: true });
  });

  test("init makes no empty one in its place, nor a new key", async () => {
    await rm(at("repository.key"));
    const { exit, err } = await holdfast("init");
    expect(exit, err).toBe(10);
    expect(err).toContain(`${at("repository")} is gone: the catalog has 2 backups of it. Is its disk mounted?`);
    expect(err).toContain("holdfast init --new-repository   [REPOSITORY_MISSING, exit 10]");
    const names = await readdir(folder);
    expect(names).not.toContain("repository");
    expect(names).not.toContain("repository.key");
  });

  test("a backup is refused with the same question first", async () => {
    const { exit, err } = await holdfast("backup:create --live --yes");
    expect(exit).toBe(10);
    expect(err).toMatch(/There is no repository at .*\n {2}Is its disk mounted, /);
  });

  test("init makes no folders above a new one either", async () => {
    const place = at("not-mounted/disk/repository");
    const text = config("upsun")
      .replace("./state", "./other-state")
      .replace("./repository.key", "./other.key")
      .replace("./repository }", `${place} }`);
    await writeFile(at("other.yaml"), text);
    const { exit, err } = await holdfast("-c other.yaml init");
    expect(exit, err).toBe(4);
    expect(err).toContain(`at local:${place}: there is no folder ${at("not-mounted/disk")}.`);
    expect(err).toContain(`mkdir -p ${at("not-mounted/disk")}   [CONFIG_INVALID, exit 4]`);
    const names = await readdir(folder);
    expect(names).not.toContain("not-mounted");
    expect(names).not.toContain("other.key");
  });

  test("init --new-repository begins anew, and catalog:rebuild then drops the lost backups", async () => {
    const { exit, err } = await holdfast("init --new-repository");
    expect(exit, err).toBe(0);
    expect(err).toContain("repository: created\n");
    expect(err).toContain("The catalog still lists 2 backups of the lost repository.");
    expect(err).toContain("holdfast catalog:rebuild");
    expect((await holdfast("catalog:rebuild")).err).toContain("2 removed, having no snapshot");
    expect((await holdfast("init")).exit).toBe(0);
  });
});
