import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { open, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type PostgresqlServer, startPostgresql } from "../services/conformance/index.ts";
import { config, createLive, folder, holdfast, useShop } from "./testing/shop-commands.ts";

useShop();

const all =
  "--columns created_at,id,restorable,automated,commit_id,expires_at,live,status,updated_at,environment,safe,size";
const list = async (options = ""): Promise<string> =>
  (await holdfast(`${options} backup:list --format csv ${all}`)).out;

describe("catalog:rebuild", () => {
  let server: PostgresqlServer;
  beforeAll(async () => {
    server = await startPostgresql();
    const catalog = `server: { catalog: "${server.url("postgres")}" }`;
    await writeFile(join(folder, "postgresql.yaml"), config("upsun").replace("projects:", `${catalog}\nprojects:`), {
      mode: 0o600,
    });
  }, 60_000);
  afterAll(() => server.stop());

  const catalogFile = (suffix = ""): string => join(folder, `state/catalog.db${suffix}`);
  const removeCatalog = async (): Promise<void> => {
    for (const suffix of ["", "-wal", "-shm"]) await rm(catalogFile(suffix), { force: true });
  };

  test("brings a deleted catalog back as it was", async () => {
    expect((await holdfast("init")).exit).toBe(0);
    await createLive();
    await createLive();
    const before = await list();
    expect(before.split("\n")).toHaveLength(4);
    await removeCatalog();
    expect(await list()).toBe("");
    const { exit, err } = await holdfast("catalog:rebuild");
    expect([exit, err]).toEqual([0, "shop: 2 backups, 2 of them added\n"]);
    expect(await list()).toBe(before);
    expect((await holdfast("catalog:rebuild")).err).toBe("shop: 2 backups, 0 of them added\n");
    expect(await list()).toBe(before);
  });

  test.each(["no database", "a page overwritten"])("sets a damaged catalog aside: %s", async (damage) => {
    const before = await list();
    if (damage === "no database") {
      await removeCatalog();
      await writeFile(catalogFile(), "not a database ".repeat(1000));
    } else {
      const handle = await open(catalogFile(), "r+");
      const { size } = await handle.stat();
      for (let at = 4096; at < size; at += 4096) await handle.write(Buffer.alloc(4096, 0xa5), 0, 4096, at);
      await handle.close();
    }
    const { exit, err } = await holdfast("catalog:rebuild");
    expect(exit).toBe(3);
    expect(err).toMatch(/Warning: the catalog was damaged\. It is .*catalog\.db\.damaged-/);
    expect(err).toContain("shop: 2 backups, 2 of them added");
    expect(await list()).toBe(before);
    expect((await readdir(join(folder, "state"))).some((name) => name.startsWith("catalog.db.damaged-"))).toBe(true);
  });

  test("removes rows without a snapshot and mends what is wrong, but leaves a begun deletion begun", async () => {
    const before = await list();
    const [, first, second] = before.split("\n").map((line) => line.split(",")[1] ?? "");
    const database = new DatabaseSync(catalogFile());
    database.exec(
      `INSERT INTO backups SELECT project, 'ghost', environment, created_at, updated_at, status, record FROM backups LIMIT 1;
       UPDATE backups SET record = '{' WHERE id = '${first}';
       UPDATE backups SET status = 'DELETING' WHERE id = '${second}'`,
    );
    database.close();
    const { exit, err } = await holdfast("catalog:rebuild");
    expect([exit, err]).toEqual([0, "shop: 2 backups, 0 of them added; 1 removed, having no snapshot\n"]);
    const mended = await list();
    expect(mended).toBe(before.replace(new RegExp(`(${second}.*),CREATED,`), "$1,DELETING,"));
    await removeCatalog();
    await holdfast("catalog:rebuild");
    expect(await list()).toBe(before);
  });

  test("fills a catalog in PostgreSQL", async () => {
    const inFile = await list();
    expect(await list("-c postgresql.yaml")).toBe("");
    const { exit, err } = await holdfast("-c postgresql.yaml catalog:rebuild");
    expect([exit, err]).toEqual([0, "shop: 2 backups, 2 of them added\n"]);
    expect(await list("-c postgresql.yaml")).toBe(inFile);
  });

  test("names a snapshot that has no manifest, and takes the others", async () => {
    const before = await list();
    const repository = [
      "-r",
      join(folder, "repository"),
      "--password-file",
      join(folder, "repository.key"),
      "--no-cache",
    ];
    const tags = ["--tag", "holdfast", "--tag", "project:shop", "--tag", "environment:main", "--tag", "backup:x"];
    execFileSync("restic", [...repository, "backup", "--quiet", ...tags, join(folder, "holdfast.yaml")]);
    await removeCatalog();
    const { exit, err } = await holdfast("catalog:rebuild");
    expect(exit, err).toBe(3);
    expect(err).toMatch(/Warning: the snapshot [0-9a-f]{8} is left out: .* has no usable/);
    expect(err).toContain("shop: 2 backups, 2 of them added");
    expect(await list()).toBe(before);
  });

  test("waits for nobody: an operation at work is named, and nothing is changed", async () => {
    const script = `import { DatabaseSync } from "node:sqlite";
      globalThis.held = new DatabaseSync(${JSON.stringify(join(folder, "state/locks/shop%2Fmain.lock"))});
      globalThis.held.exec("BEGIN EXCLUSIVE");
      console.log("locked"); process.stdin.resume();`;
    const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    try {
      const { exit, err } = await holdfast("catalog:rebuild");
      expect(exit, err).toBe(1);
      expect(err).toContain("Another operation is running on main");
    } finally {
      holder.stdin.end();
      await once(holder, "exit");
    }
  });
});
