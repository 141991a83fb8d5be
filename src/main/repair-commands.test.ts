import { execFileSync } from "node:child_process";
import { readdir, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createLive, folder, holdfast, useShop } from "./testing/shop-commands.ts";

useShop();

function restic(...args: string[]): string {
  const repository = ["-r", join(folder, "repository"), "--password-file", join(folder, "repository.key")];
  return execFileSync("restic", [...repository, "--no-cache", "--quiet", ...args], { encoding: "utf8", stdio: "pipe" });
}

interface Node {
  readonly name: string;
  readonly subtree?: string;
  readonly content?: readonly string[];
}

/** Where the first blob of a backup's file lies. */
async function blobOf(backup: string, path: string): Promise<{ pack: string; offset: number }> {
  const [snapshot] = JSON.parse(restic("snapshots", "--json", "--tag", `backup:${backup}`)) as { id: string }[];
  let { tree } = JSON.parse(restic("cat", "snapshot", snapshot?.id ?? "")) as { tree: string };
  let node: Node | undefined;
  for (const name of path.split("/")) {
    const { nodes } = JSON.parse(restic("cat", "blob", tree)) as { nodes: Node[] };
    node = nodes.find((one) => one.name === name);
    tree = node?.subtree ?? "";
  }
  for (const index of restic("list", "index").trim().split("\n")) {
    const { packs } = JSON.parse(restic("cat", "index", index)) as {
      packs: { id: string; blobs: { id: string; offset: number }[] }[] | null;
    };
    for (const { id, blobs } of packs ?? []) {
      const blob = blobs.find((one) => one.id === node?.content?.[0]);
      if (blob !== undefined) return { pack: id, offset: blob.offset };
    }
  }
  throw new Error(`no pack holds ${path}`);
}

const packFile = (pack: string): string => join(folder, "repository/data", pack.slice(0, 2), pack);

async function spoil(backup: string, path: string): Promise<string> {
  const { pack, offset } = await blobOf(backup, path);
  const bytes = await readFile(packFile(pack));
  bytes[offset + 20] = (bytes[offset + 20] as number) ^ 1;
  await unlink(packFile(pack));
  await writeFile(packFile(pack), bytes);
  return pack;
}

interface Row {
  readonly id: string;
  readonly restorable: boolean;
  readonly snapshot: string;
  readonly warnings: readonly unknown[];
}

const list = async (): Promise<Row[]> => JSON.parse((await holdfast("backup:list --format json")).out) as Row[];

test("the index comes back when it is gone, and a dry run changes nothing", async () => {
  expect((await holdfast("init")).exit).toBe(0);
  await createLive();
  const folderOfIndex = join(folder, "repository/index");
  for (const name of await readdir(folderOfIndex)) await unlink(join(folderOfIndex, name));
  const checked = await holdfast("repo:check");
  expect(checked.exit).toBe(1);
  expect(checked.err).toContain("See what can be saved:  holdfast repo:repair --dry-run");
  const plan = await holdfast("repo:repair --dry-run");
  expect([plan.exit, plan.err]).toEqual([0, expect.stringContaining("The index would be made right. All 1 backup is")]);
  expect(await readdir(folderOfIndex)).toEqual([]);
  const done = await holdfast("repo:repair");
  expect([done.exit, done.err]).toEqual([0, expect.stringContaining("The index was made right.")]);
  expect(done.out).toMatch(/packs that no index named, added +\| +4 \|/);
  expect((await holdfast("repo:check --read-data")).exit).toBe(0);
  restic("check", "--read-data");
  expect((await holdfast("repo:repair --read-data")).err).toContain("The index is right. All 1 backup is whole.");
});

test("a backup that lost a file of a mount is named, healed by the next backup, or replaced by what is left", async () => {
  const backup = await createLive();
  await writeFile(join(folder, "media/2026/01.txt"), "January, but not as it was");
  const changed = await createLive();
  const pack = await spoil(changed, "mounts/app/media/2026/01.txt");
  const found = await holdfast("repo:check --read-data");
  expect(found.exit).toBe(1);
  expect(found.out).toMatch(new RegExp(`backup ${changed} of main \\(.*\\):\\n    /mounts/app/media/2026/01.txt\n`));
  expect(found.out).not.toContain(backup);
  const { out: json } = await holdfast("repo:check --read-data --format json");
  const { findings } = JSON.parse(json) as { findings: { affected?: unknown[] }[] };
  expect(findings.flatMap(({ affected = [] }) => affected)).toMatchObject([
    { backup: changed, environment: "main", paths: ["/mounts/app/media/2026/01.txt"], paths_total: 1 },
  ]);

  const named = await holdfast("repo:repair --read-data");
  expect(named.exit).toBe(3);
  expect(named.out).toContain(`Lost from the backup ${changed} of main`);
  expect(named.out).toContain("  /mounts/app/media/2026/01.txt\n");
  expect(named.err).toContain("1 of 2 backups lost data. They stay as they are");
  expect(await readdir(join(folder, "repository/data", pack.slice(0, 2)))).toContain(pack);

  // What is still there unchanged comes back with the next backup.
  await writeFile(join(folder, "media/2026/01.txt"), "January, but not as it was");
  await createLive();
  expect((await holdfast("repo:repair")).err).toContain("whole.");
  restic("check", "--read-data");
});

test("--forget asks, marks what is left, and the catalog says so, also when it is made again", async () => {
  for (const { id } of await list()) expect((await holdfast(`backup:delete ${id} --yes`)).exit).toBe(0);
  await holdfast("repo:prune --safety-time 0");
  const inMount = await createLive();
  await spoil(inMount, "mounts/app/media/a.txt");
  expect((await holdfast("repo:repair --read-data --forget")).err).toContain("needs a confirmation");
  expect((await holdfast("repo:repair --read-data --forget", { typed: "n" })).exit).toBe(1);
  const { exit, err } = await holdfast("repo:repair --read-data --forget", { typed: "y" });
  expect([exit, err]).toEqual([
    3,
    expect.stringContaining("1 of 1 backup lost data and was replaced by what is left."),
  ]);
  const [row] = await list();
  expect(row).toMatchObject({
    id: inMount,
    restorable: true,
    warnings: [{ kind: "data-lost", message: expect.stringContaining("any more: /mounts/app/media/a.txt.") }],
  });
  expect(restic("ls", row?.snapshot ?? "")).not.toContain("a.txt");
  expect(JSON.parse(restic("snapshots", "--json"))).toMatchObject([{ tags: expect.arrayContaining(["repaired"]) }]);
  restic("check", "--read-data");
  await rm(join(folder, "media/a.txt"));
  await rm(join(folder, "media/2026"), { recursive: true });
  expect((await holdfast("backup:restore --yes")).exit).toBe(0);
  expect(await readdir(join(folder, "media"))).toEqual(["2026"]);

  // The damaged pack still has a good copy, which a repair would find.
  expect((await holdfast("repo:prune --safety-time 0")).exit).toBe(0);
  await spoil(inMount, "services/flags/database.sqlite");
  const again = await holdfast("repo:repair --read-data --forget --yes");
  expect([again.exit, again.out + again.err]).toEqual([3, expect.stringContaining("/services/flags/database.sqlite")]);
  const rows = await list();
  expect(rows).toMatchObject([{ id: inMount, restorable: false, warnings: [{}, { kind: "data-lost" }] }]);
  const refused = await holdfast(`backup:restore ${inMount} --yes`);
  expect(refused.err).toContain("BACKUP_NOT_RESTORABLE");
  for (const suffix of ["", "-wal", "-shm"]) await rm(join(folder, `state/catalog.db${suffix}`), { force: true });
  expect((await holdfast("catalog:rebuild")).exit).toBe(0);
  const [rebuilt] = await list();
  expect(rebuilt).toMatchObject({ id: inMount, restorable: false, snapshot: rows[0]?.snapshot });
  expect(rebuilt?.warnings).toEqual(rows[0]?.warnings);
  restic("check", "--read-data");
});
