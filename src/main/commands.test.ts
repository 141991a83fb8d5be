import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { config, createLive, folder, holdfast, jsonLines, useShop } from "./testing/shop-commands.ts";

useShop();

describe("before init", () => {
  test("commands say that there is no repository, with exit code 10", async () => {
    const { exit, err } = await holdfast("backup:create --live --yes");
    expect(exit).toBe(10);
    expect(err).toMatch(
      /holdfast: There is no repository at .*\n {2}Is its disk mounted\? If there never was one, make it: {2}holdfast init {3}\[REPOSITORY_MISSING, exit 10\]\n$/,
    );
  });

  test("listing says so, too, and makes nothing", async () => {
    const { exit, out, err } = await holdfast("backup:list");
    expect([exit, out]).toEqual([10, ""]);
    expect(err).toContain(
      "Is its disk mounted? If there never was one, make it:  holdfast init   [REPOSITORY_MISSING, exit 10]",
    );
    expect(await readdir(folder)).not.toContain("state");
  });

  test("a wrong configuration is exit code 4, with the place", async () => {
    await writeFile(join(folder, "wrong.yaml"), config("upsun").replace("title:", "titel:"));
    const { exit, out, err } = await holdfast("-c wrong.yaml backup:list");
    expect([exit, out]).toEqual([4, ""]);
    expect(err).toContain(
      'wrong.yaml:5:5: unknown key "projects.shop.titel"; did you mean "title"?   [CONFIG_INVALID, exit 4]',
    );
    expect((await holdfast("-c missing.yaml backup:list")).exit).toBe(4);
    const client = { env: { HOLDFAST_SERVER: "http://127.0.0.1:1", HOLDFAST_TOKEN: "t" } };
    for (const line of ["repo:check", "catalog:rebuild"]) {
      const missing = await holdfast(`-c missing.yaml ${line}`, client);
      expect(missing.exit).toBe(4);
      expect(missing.err).toMatch(/no configuration file .* HOLDFAST_SERVER does not apply to this command/);
    }
    await mkdir(join(folder, "a-folder"), { recursive: true });
    expect((await holdfast("-c a-folder backup:list")).err).toContain("cannot be read: it is a folder.");
  });

  test.each([
    ["backup:lsit", "unknown command 'backup:lsit'.", "(Did you mean backup:list?) See holdfast --help"],
    ["backup:create --liev", "unknown option '--liev'.", "(Did you mean --live?) See holdfast backup:create --help"],
    ["backup:delete", "missing required argument 'id'.", "See holdfast backup:delete --help"],
    ["backup:create main x", "too many arguments", "See holdfast backup:create --help"],
    ["backups --format xml", "argument 'xml' is invalid", "See holdfast backup:list --help"],
  ])("a wrong command line has the form of every error: %s", async (line, message, remedy) => {
    const { exit, out, err } = await holdfast(line);
    expect([exit, out]).toEqual([1, ""]);
    expect(err).toMatch(/^holdfast: /);
    expect(err).toContain(message);
    expect(err).toContain(`\n  ${remedy}   [INPUT_INVALID, exit 1]\n`);
  });

  test("a wrong command line is an event where JSON was asked for", async () => {
    const { err } = await holdfast("backup:create --format json --liev");
    expect(jsonLines(err)).toMatchObject([{ type: "error", code: "INPUT_INVALID", exit: 1 }]);
  });
});

describe("init", () => {
  test("makes what is missing, and the second time finds it", async () => {
    const first = await holdfast("init");
    expect(first.exit).toBe(0);
    expect(first.err).toMatch(/key .*repository\.key: created\nrepository .*repository: created\n/);
    const key = await readFile(join(folder, "repository.key"), "utf8");
    expect((await stat(join(folder, "repository.key"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, "state"))).mode & 0o777).toBe(0o700);
    const second = await holdfast("init");
    expect(second.exit).toBe(0);
    expect(second.err).toMatch(/key .*: there already\nrepository .*: there already\n/);
    expect(await readFile(join(folder, "repository.key"), "utf8")).toBe(key);
  });

  test("warns of mounts and code that have no folder, naming the keys", async () => {
    const text = config("upsun").replace("{ media: ./media }", "{ media: ./media, var: ./gone }, code: ./no-code");
    await writeFile(join(folder, "gone.yaml"), text);
    const { exit, err } = await holdfast("-c gone.yaml init");
    expect(exit).toBe(3);
    const key = "projects.shop.environments.main.applications.app";
    expect(err).toContain(`Warning: main: the code of app has no folder ${join(folder, "no-code")} (${key}.code).\n`);
    expect(err).toContain(
      `Warning: main: the mount app/var has no folder ${join(folder, "gone")} (${key}.mounts.var).`,
    );
    expect(err).toContain("Done with 2 warnings; see above.");
    expect(await readdir(folder)).not.toContain("gone");
  });

  test("makes no new key for a repository that another one opens", async () => {
    const key = await readFile(join(folder, "repository.key"), "utf8");
    await rm(join(folder, "repository.key"));
    try {
      const { exit, err } = await holdfast("init");
      expect(exit).toBe(4);
      expect(err).toContain("is missing, and the repository at");
      expect(await readdir(folder)).not.toContain("repository.key");
      await writeFile(join(folder, "repository.key"), "another password\n", { mode: 0o600 });
      const wrong = await holdfast("repo:stats");
      expect(wrong.exit).toBe(12);
      expect(wrong.err).toMatch(/The password is not that of the repository at .*\n {2}Put the right password back/);
    } finally {
      await writeFile(join(folder, "repository.key"), key);
    }
  });

  test("warns of a key that others can read", async () => {
    const file = join(folder, "repository.key");
    const key = await readFile(file, "utf8");
    await rm(file);
    await writeFile(file, key, { mode: 0o644 });
    expect((await holdfast("backup:list")).err).toMatch(/Warning: other users can read .*chmod 600/);
    await rm(file);
    await writeFile(file, key, { mode: 0o600 });
    expect((await holdfast("backup:list")).err).not.toContain("Warning");
  });
});

describe("backups", () => {
  test("are made, listed and shown as on Upsun", async () => {
    const none = await holdfast("backup:list");
    expect([none.exit, none.out, none.err]).toEqual([1, "", "No backups found\n"]);
    const id = await createLive();
    const list = await holdfast("backup:list --format csv");
    expect(list.out).toMatch(new RegExp(`^Created,Backup ID,Restorable\\n[-0-9T:+]+,${id},true\\n$`));
    const all = await holdfast("backup:list --format csv --columns *");
    expect(all.out.split("\n")[0]).toBe(
      "Created,Backup ID,Restorable,Automated,Commit ID,Expires,Index,Live,Status,Updated,Environment,Safe,Size",
    );
    expect((await holdfast(`backup:list --no-header --format plain --columns id,live`)).out).toBe(`${id}  true\n`);
    const size = String(JSON.parse((await holdfast("backup:get -P size_of_volumes --format json")).out));
    const ours = "backup:list --no-header --columns environment,safe,size --format";
    expect((await holdfast(`${ours} csv`)).out).toBe(`main,false,${size}\n`);
    expect((await holdfast(`${ours} table`)).out).toMatch(/\| main \| false \| [\d.]+ kB \|/);
    expect((await holdfast("backup:get -P id")).out).toBe(`${id}\n`);
    expect((await holdfast("backup:get latest -P id")).out).toBe(`${id}\n`);
    expect((await holdfast("backup:files latest --format csv --columns name --no-header")).out).toContain(
      "manifest.json",
    );
    expect((await holdfast(`backup:get ${id}`)).out).toContain("\nsafe: false\n");
    expect((await holdfast("backup:get -P nonsense")).exit).toBe(1);
    expect(JSON.parse((await holdfast(`backup:get ${id} --format json`)).out)).toMatchObject({
      sizes: { bytes: expect.any(Number), bytes_stored: expect.any(Number) },
    });
    expect(Number((await holdfast("backup:get -P sizes.bytes_unique")).out)).toBeGreaterThan(0);
    expect((await holdfast("backup:get aaaaaaaaaaaaaaaaaaaaaaaaaa")).err).toContain("BACKUP_NOT_FOUND");
  });

  test("come as one object of JSON on standard output, with the events as lines of JSON beside it", async () => {
    const { exit, out, err } = await holdfast("backup:create --live --yes --format json");
    expect(exit).toBe(0);
    // Milliseconds have one decimal, in data and events.
    expect(out + err).not.toMatch(/(?:_ms|Ms)": ?\d+\.\d{2}/);
    expect(JSON.parse(out)).toMatchObject({
      environment: "main",
      replaced: [],
      safe: false,
      restorable: true,
      automated: false,
      status: "CREATED",
      hold: null,
      replicas: ["disk"],
      warnings: [],
      components: [{ source: "service:flags" }, { source: "mount:app/media" }],
    });
    const types = jsonLines(err).map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(["message", "phase-started", "frozen", "stored", "phase-ended"]));
    const failure = await holdfast("backup:create --yes --format json");
    expect(failure.out).toBe("");
    expect(jsonLines(failure.err).at(-1)).toMatchObject({ type: "error", code: "CONFIG_INVALID", exit: 4 });
  });

  test("are not made without a yes where nobody can be asked, and are with one from a terminal", async () => {
    const declined = await holdfast("backup:create --live");
    expect([declined.exit, declined.out]).toEqual([1, ""]);
    expect(declined.err).toContain("use --yes (-y).   [INPUT_INVALID, exit 1]");
    expect((await holdfast("backup:create --live", { typed: "n" })).exit).toBe(1);
    const { exit, err } = await holdfast("backup:create --live", { typed: "" });
    expect(exit).toBe(0);
    expect(err).toContain("Are you sure you want to continue? [Y/n]");
  });

  test("replace the oldest manual one past the profile's count, and say so before", async () => {
    await createLive();
    const second = await createLive();
    const oldest = (await holdfast("backup:list --format plain --no-header --columns id")).out
      .trim()
      .split("\n")
      .at(-1);
    const { err } = await holdfast("backup:create --live --yes");
    expect(err).toMatch(
      new RegExp(
        `This replaces the oldest manual backup, ${oldest} of [\\w :]+ \\(profile upsun keeps 2 manual ones\\)\\.`,
      ),
    );
    expect(err.match(new RegExp(`replaced ${oldest}`, "g"))).toHaveLength(1);
    const left = (await holdfast("backup:list --format plain --no-header --columns id")).out.trim().split("\n");
    expect(left).toHaveLength(2);
    expect(left).toContain(second);
    expect(left).not.toContain(oldest);
    const json = JSON.parse((await holdfast("backup:create --live --yes --format json")).out) as unknown;
    expect(json).toMatchObject({ replaced: [second] });
  });

  test("print just their id for scripts", async () => {
    for (const format of ["plain", "csv", "tsv"]) {
      expect((await holdfast(`backup:create --live --yes --format ${format}`)).out).toMatch(/^[a-z2-7]{26}\n$/);
    }
  });

  test("are forbidden where the profile says so, with exit code 6", async () => {
    await writeFile(join(folder, "pro.yaml"), config("commerce-pro"));
    const { exit, err } = await holdfast("-c pro.yaml backup:create --live --yes");
    expect(exit).toBe(6);
    expect(err).toContain("allows no manual backups of production environments");
  });

  test("are only made of active environments", async () => {
    const refused = await holdfast("backup:create staging --live --yes");
    expect(refused.exit).toBe(1);
    expect(refused.err).toContain("ENVIRONMENT_INACTIVE");
    expect((await holdfast("environment:activate staging")).exit).toBe(0);
    expect((await holdfast("backup:create staging --live --yes")).exit).toBe(0);
    expect((await holdfast("environment:pause staging")).exit).toBe(0);
    expect((await holdfast("environment:list --format csv --no-header --columns id,status")).out).toBe(
      "main,active\nstaging,paused\n",
    );
  });

  test("are deleted", async () => {
    const id = await createLive();
    expect((await holdfast(`backup:delete ${id}`)).exit).toBe(1);
    expect((await holdfast(`backup:delete ${id} -y`)).exit).toBe(0);
    expect((await holdfast(`backup:get ${id}`)).exit).toBe(1);
    expect((await holdfast("backup:delete")).exit).toBe(1);
  });
});

interface PruneJson {
  readonly plan: { readonly bytes_freed: number };
  readonly deleted: { readonly packs: number; readonly bytes: number };
}

async function bytesOf(figure: "bytes_stored" | "bytes_used"): Promise<number> {
  return (JSON.parse((await holdfast("repo:stats --format json")).out) as Record<string, number>)[figure] ?? Number.NaN;
}

describe("the repository", () => {
  test("is checked, measured and unlocked", async () => {
    expect((await holdfast("repo:check --read-data=50%")).err).toMatch(
      /No errors were found: .*; read (\d+) of \d+ packs? \(\d+(\.\d)? %\), /,
    );
    expect((await holdfast("repo:check")).err).toContain("; read no data.");
    expect((await holdfast("repo:check --read-data 7")).exit).toBe(1);
    const stats = JSON.parse((await holdfast("repo:stats --format json")).out) as { snapshots: number };
    expect(stats.snapshots).toBeGreaterThan(0);
    const shown = (await holdfast("repo:stats")).out;
    expect(shown).toMatch(/\| deduplication_ratio +\| +\d+\.\d\d \|/);
    expect(shown).toMatch(
      /\| Created +\| Backup ID +\| Environment \| +Size \| +Stored \| Unique \| +New \| So far \|/,
    );
    const [header, ...rows] = (await holdfast("repo:stats --format csv")).out.trim().split("\n");
    expect(header).toBe("Created,Backup ID,Environment,Size,Stored,Unique,New,So far");
    expect(rows).toHaveLength(stats.snapshots);
    const times = rows.map((row) => row.split(",", 1)[0] ?? "");
    expect(times).toEqual(times.toSorted().toReversed());
    expect((await holdfast("repo:unlock")).err).toContain("Removed 0 locks.");
  });

  test("is pruned: what a deleted backup alone needed is freed", async () => {
    const id = await createLive();
    const unique = Number((await holdfast(`backup:get ${id} -P sizes.bytes_unique`)).out);
    const usedBefore = await bytesOf("bytes_used");
    expect((await holdfast(`backup:delete ${id} -y`)).exit).toBe(0);
    expect(await bytesOf("bytes_used")).toBe(usedBefore - unique);
    const planned = JSON.parse((await holdfast("repo:prune --dry-run --safety-time 0 --format json")).out) as PruneJson;
    expect(planned.plan.bytes_freed).toBeGreaterThan(0);
    expect(planned.deleted.packs).toBe(0);
    const marked = await holdfast("repo:prune");
    expect(marked.out).toMatch(/marked as unneeded +\| +[1-9]/);
    expect(marked.err).toContain("Deleted 0 packs");
    const before = await bytesOf("bytes_stored");
    const pruned = JSON.parse(
      (await holdfast("repo:prune --safety-time 0 --max-unused 0 --format json")).out,
    ) as PruneJson;
    expect(pruned.deleted.bytes).toBeGreaterThan(0);
    expect(await bytesOf("bytes_stored")).toBeLessThan(before);
    expect((await holdfast("repo:check --read-data")).exit).toBe(0);
    expect((await holdfast("repo:prune --max-unused 101%")).exit).toBe(1);
    expect((await holdfast("repo:prune --safety-time soon")).exit).toBe(1);
  });

  test("is read a share at a time until all of it has been read, whatever becomes of the memory of it", async () => {
    const coverage = async (): Promise<{ packs: number; packs_total: number }> => {
      const { out } = await holdfast("repo:check --read-data=25% --format json");
      return (JSON.parse(out) as { coverage: { packs: number; packs_total: number } }).coverage;
    };
    await rm(join(folder, "state/repositories"), { recursive: true, force: true });
    const seen: number[] = [];
    for (let run = 0; run < 4; run += 1) seen.push((await coverage()).packs);
    expect(seen[0]).toBeGreaterThan(0);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    const last = await coverage();
    expect(last.packs).toBe(last.packs_total);
    expect((await holdfast("repo:check")).err).toMatch(
      /Within the last day checks have read all of the data \([\d.]+ kB\)\.\n$/,
    );
  });

  test("takes a backup that is verified as it was stored, where the configuration asks for it", async () => {
    await writeFile(
      join(folder, "verify.yaml"),
      config("upsun").replace("replicas:", "verifyWrites: true\n      replicas:"),
    );
    const { exit, err } = await holdfast("-c verify.yaml backup:create --live --yes");
    expect(exit, err).toBe(0);
  });

  test("that lost a pack is damaged: exit code 1 and the finding on standard output", async () => {
    const packs = (await readdir(join(folder, "repository/data"), { recursive: true })).filter(
      (name) => name.length > 60,
    );
    const [first = ""] = packs;
    const file = join(folder, "repository/data", first);
    const bytes = await readFile(file);
    await rm(file);
    const { exit, out, err } = await holdfast("repo:check");
    expect(exit).toBe(1);
    expect(out).toMatch(/^error: pack-missing/m);
    expect(err).toContain("[REPOSITORY_DAMAGED, exit 1]");
    await writeFile(file, bytes, { mode: 0o400 });
    expect((await holdfast("repo:check")).exit).toBe(0);
  });
});

test("help names every command, and each command its options with the common ones", async () => {
  const { exit, out } = await holdfast("--help");
  expect(exit).toBe(0);
  for (const name of ["init", "gateway", "backup:create", "backup:download", "repo:unlock"])
    expect(out).toContain(name);
  const help = await holdfast("backup:create --help");
  expect(help.out).toMatch(/--live[\s\S]*--format[\s\S]*--columns[\s\S]*--no-header[\s\S]*--config/);
  expect((await holdfast("--version")).out).toMatch(/^\d+\.\d+\.\d+\n$/);
});
