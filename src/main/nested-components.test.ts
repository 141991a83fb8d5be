import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { beforeAll, describe, expect, test } from "vitest";
import { createLive, folder, holdfast, useShop } from "./testing/shop-commands.ts";

// Where one component's folder holds another's: a mount in the code and code in a mount, databases in code, mount and data folder.
const config = `version: 1
state: ./state
projects:
  shop:
    repository:
      passwordFile: ./repository.key
      replicas: [{ name: disk, type: local, path: ./repository }]
    environments:
      main:
        type: production
        applications:
          app: { code: ./site, mounts: { media: ./site/public/media } }
          worker: { code: ./home/worker, mounts: { home: ./home } }
        services:
          flags: { type: sqlite, path: ./site/data/flags.db }
          tags: { type: sqlite, path: ./site/public/media/tags.db }
          search: { type: directory, path: ./site/var/search }
          terms: { type: sqlite, path: ./site/var/search/terms.db }
`;

const files = {
  "site/index.js": "code",
  "site/public/style.css": "style",
  "site/public/media/a.jpg": "picture",
  "site/var/search/index": "words",
  "home/worker/run.js": "worker",
  "home/notes": "notes",
} as const;
const databases = ["site/data/flags.db", "site/public/media/tags.db", "site/var/search/terms.db"] as const;

function withDatabase<T>(path: string, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(join(folder, path));
  try {
    return work(database);
  } finally {
    database.close();
  }
}

async function fill(): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  for (const path of databases) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    withDatabase(path, (database) => {
      database.exec("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS t (n INTEGER); DELETE FROM t");
      database.exec("INSERT INTO t VALUES (1)");
    });
  }
}

async function expectAllBack(): Promise<void> {
  for (const [path, text] of Object.entries(files)) expect(await readFile(join(folder, path), "utf8"), path).toBe(text);
  for (const path of databases) {
    expect(existsSync(join(folder, path)), path).toBe(true);
    expect(withDatabase(path, (database) => database.prepare("SELECT n FROM t").all())).toEqual([{ n: 1 }]);
  }
  for (const root of ["site", "home"]) {
    const names = await readdir(join(folder, root), { recursive: true });
    expect(names.filter((name) => name.includes("holdfast"))).toEqual([]);
  }
}

useShop();
beforeAll(async () => {
  await writeFile(join(folder, "holdfast.yaml"), config);
  await fill();
  const { exit, err } = await holdfast("init");
  expect(exit, err).toBe(0);
});

describe("a restore where one component's folder holds another's", () => {
  test.each([
    ["nothing"],
    ["the mount", "site/public/media"],
    ["the folder that the mount is in", "site/public"],
    ["a database", ...databases.flatMap((path) => [path, `${path}-wal`, `${path}-shm`])],
    ["a database's folder", "site/data"],
    ["the data folder", "site/var/search"],
    ["all that is in the code's folder", "site/index.js", "site/public", "site/data", "site/var"],
    ["the code that is in a mount", "home/worker"],
    ["everything", "site", "home"],
  ])("brings all back after %s was lost", async (_what, ...lost) => {
    await fill();
    await createLive();
    await writeFile(join(folder, "site/index.js"), "changed");
    for (const path of databases) withDatabase(path, (database) => database.exec("UPDATE t SET n = 2"));
    for (const path of lost) await rm(join(folder, path), { recursive: true, force: true });
    const { exit, err } = await holdfast("backup:restore --yes");
    expect(exit, err).toBe(0);
    await expectAllBack();
  });

  test("keeps no database as files of the component that it is in", async () => {
    await fill();
    const id = await createLive();
    for (const path of ["code/app/data", "mounts/app/media", "services/search"]) {
      const { out } = await holdfast(`backup:files ${id} ${path}`);
      expect(out).not.toContain(".db");
    }
  });

  test("leaves everything as it was when it fails", async () => {
    await fill();
    const id = await createLive();
    await rm(join(folder, "site/public/media"), { recursive: true });
    // A folder stands where the database is to be: that fails when the code is exchanged already, or is about to be.
    await rm(join(folder, "site/data"), { recursive: true });
    await mkdir(join(folder, "site/data/flags.db/in"), { recursive: true });
    await writeFile(join(folder, "site/index.js"), "changed");
    expect((await holdfast(`backup:restore ${id} --yes`)).exit).not.toBe(0);
    expect(await readFile(join(folder, "site/index.js"), "utf8")).toBe("changed");
    expect(existsSync(join(folder, "site/public/media/a.jpg"))).toBe(false);
    await rm(join(folder, "site/data"), { recursive: true });
    expect((await holdfast(`backup:restore ${id} --yes`)).exit).toBe(0);
    await expectAllBack();
  });
});
