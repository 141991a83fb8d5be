import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { createLive, folder, holdfast, useShop } from "./testing/shop-commands.ts";

interface Shape {
  readonly application: string;
  readonly services?: string;
}

// What a restore does where the configuration has changed since the backup.
const before: Shape = {
  application: '{ code: ./site, mounts: { media: ./site/public/media }, exclude: ["var/cache/**"] }',
  services: "flags: { type: sqlite, path: ./site/data/flags.db }",
};

async function configure({ application, services }: Shape): Promise<void> {
  const text = `version: 1
state: ./state
projects:
  shop:
    repository:
      passwordFile: ./repository.key
      replicas: [{ name: disk, type: local, path: ./repository }]
    environments:
      main:
        type: production
        applications: { app: ${application} }
        services: { ${services ?? ""} }
`;
  await writeFile(join(folder, "holdfast.yaml"), text);
  const { exit, err } = await holdfast("init");
  expect(exit, err).toBe(0);
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), text);
}

const read = (path: string): Promise<string> => readFile(join(folder, path), "utf8");

function insert(value: number): void {
  const database = new DatabaseSync(join(folder, "site/data/flags.db"));
  database.exec(`CREATE TABLE IF NOT EXISTS t (n INTEGER); INSERT INTO t VALUES (${value})`);
  database.close();
}

function values(): unknown[] {
  const database = new DatabaseSync(join(folder, "site/data/flags.db"));
  const rows = database.prepare("SELECT n FROM t ORDER BY n").all();
  database.close();
  return rows.map(({ n }) => n);
}

async function backUp(): Promise<void> {
  await write("site/index.js", "old");
  await write("site/public/media/a.jpg", "picture");
  await write("site/data/notes", "notes");
  await write("site/var/cache/warm", "cache");
  insert(1);
  await configure(before);
  await createLive();
  await write("site/index.js", "new");
}

useShop();

describe("a restore after the configuration has changed", () => {
  test.each<[string, string, Shape]>([
    [
      "what was a mount",
      "site/public/media/b.jpg",
      { ...before, application: '{ code: ./site, exclude: ["var/cache/**"] }' },
    ],
    [
      "what was excluded",
      "site/var/cache/new",
      { ...before, application: "{ code: ./site, mounts: { media: ./site/public/media } }" },
    ],
  ])("leaves %s as it is: the backup cannot bring it back", async (_what, live, after) => {
    await backUp();
    await configure(after);
    await write(live, "live");
    const { exit, err } = await holdfast("backup:restore --yes");
    expect(exit, err).toBe(0);
    expect(await read("site/index.js")).toBe("old");
    expect(await read(live)).toBe("live");
    expect(await read("site/public/media/a.jpg")).toBe("picture");
  });

  test("leaves what was a service's database as it is", async () => {
    await backUp();
    await configure({ application: before.application });
    insert(2);
    const rows = values();
    const { exit, err } = await holdfast("backup:restore --yes");
    expect(exit, err).toBe(0);
    expect(err).toContain("Not restored");
    expect(values()).toEqual(rows);
  });

  test("leaves a part of the code as it is that was left out, when a folder is restored alone", async () => {
    await backUp();
    await configure({ ...before, application: '{ code: ./site, exclude: ["var/cache/**"] }' });
    await write("site/public/style.css", "new");
    await write("site/public/media/b.jpg", "live");
    const { exit, err } = await holdfast("backup:restore --yes --only code:app:public");
    expect(exit, err).toBe(0);
    expect(await read("site/public/media/b.jpg")).toBe("live");
  });

  test("does not put a service's data into one of another kind", async () => {
    await backUp();
    await configure({ ...before, services: "flags: { type: directory, path: ./site/data }" });
    insert(3);
    const rows = values();
    const whole = await holdfast("backup:restore --yes");
    expect(whole.exit, whole.err).toBe(0);
    expect(whole.err).toContain("no such component, or one of another kind: service:flags.");
    expect(whole.err).toContain("Left as it is, since the backup does not hold it: service:flags.");
    const alone = await holdfast("backup:restore --yes --only service:flags");
    expect(alone.exit).not.toBe(0);
    expect(alone.err).toContain(
      "In the backup service:flags is of the kind sqlite, in the environment main of the kind directory.",
    );
    expect(values()).toEqual(rows);
    expect(existsSync(join(folder, "site/data/database.sqlite"))).toBe(false);
  });
});
