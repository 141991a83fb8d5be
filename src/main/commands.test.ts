import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../base/index.ts";
import { runCli } from "../cli/index.ts";
import { LocalComposition } from "./local-composition.ts";

interface Outcome {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

let folder: string;

interface RunOptions {
  /** Typed at a terminal; without it standard input is a pipe that is closed. */
  readonly typed?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** One command line in this process, against the real composition. */
async function holdfast(line: string, options: RunOptions = {}): Promise<Outcome> {
  const stdin = Object.assign(new PassThrough(), { isTTY: options.typed !== undefined });
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const texts = [stdout, stderr].map(async (stream) => {
    let text = "";
    for await (const chunk of stream) text += String(chunk);
    return text;
  });
  if (options.typed === undefined) stdin.end();
  else stdin.write(`${options.typed}\n`);
  const exit = await runCli(
    line.split(" ").filter((word) => word !== ""),
    {
      stdin,
      stdout,
      stderr,
      env: options.env ?? {},
      cwd: folder,
      clock: systemClock,
      signal: new AbortController().signal,
    },
    new LocalComposition({ clock: systemClock }),
  );
  stdout.end();
  stderr.end();
  const [out = "", err = ""] = await Promise.all(texts);
  return { exit, out, err };
}

const config = (profile: string): string => `version: 1
state: ./state
projects:
  shop:
    title: The shop
    profile: ${profile}
    repository:
      passwordFile: ./repository.key
      replicas: [{ name: disk, type: local, path: ./repository }]
    environments:
      main:
        type: production
        applications: { app: { mounts: { media: ./media } } }
        services: { flags: { type: sqlite, path: ./flags.db } }
      staging:
        type: staging
        status: inactive
        applications: { app: { mounts: { media: ./staging-media } } }
`;

const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

async function createLive(): Promise<string> {
  const { exit, out, err } = await holdfast("backup:create --live --yes");
  expect(exit, err).toBe(0);
  const id = /^Backup name: ([a-z2-7]{26})\n$/.exec(out)?.[1];
  if (id === undefined) throw new Error(`no backup's name in ${JSON.stringify(out)}`);
  return id;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-commands-"));
  await writeFile(join(folder, "holdfast.yaml"), config("upsun"));
  await mkdir(join(folder, "media/2026"), { recursive: true });
  await mkdir(join(folder, "staging-media"));
});
afterAll(() => rm(folder, { recursive: true }));

beforeEach(async () => {
  await mkdir(join(folder, "media/2026"), { recursive: true });
  await writeFile(join(folder, "media/a.txt"), "alpha");
  await writeFile(join(folder, "media/2026/01.txt"), "january");
  const database = new DatabaseSync(join(folder, "flags.db"));
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS flag (name TEXT); DELETE FROM flag");
  database.exec("INSERT INTO flag VALUES ('on')");
  database.close();
});

describe("before init", () => {
  test("commands say that there is no repository, with exit code 10", async () => {
    const { exit, err } = await holdfast("backup:create --live --yes");
    expect(exit).toBe(10);
    expect(err).toMatch(
      /holdfast: There is no repository at .*\n {2}Make it: {2}holdfast init {3}\[REPOSITORY_MISSING, exit 10\]\n$/,
    );
  });

  test("a wrong configuration is exit code 4, with the place", async () => {
    await writeFile(join(folder, "wrong.yaml"), config("upsun").replace("title:", "titel:"));
    const { exit, out, err } = await holdfast("-c wrong.yaml backup:list");
    expect([exit, out]).toEqual([4, ""]);
    expect(err).toContain(
      'wrong.yaml:5:5: unknown key "projects.shop.titel"; did you mean "title"?   [CONFIG_INVALID, exit 4]',
    );
    expect((await holdfast("-c missing.yaml backup:list")).exit).toBe(4);
    expect((await holdfast("backup:lsit")).exit).toBe(1);
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

  test("makes no new key for a repository that another one opens", async () => {
    const key = await readFile(join(folder, "repository.key"), "utf8");
    await rm(join(folder, "repository.key"));
    try {
      const { exit, err } = await holdfast("init");
      expect(exit).toBe(4);
      expect(err).toContain("is missing, and the repository at");
      expect(await readdir(folder)).not.toContain("repository.key");
      await writeFile(join(folder, "repository.key"), "another password\n", { mode: 0o600 });
      expect((await holdfast("repo:stats")).exit).toBe(12);
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
      "Created,Backup ID,Restorable,Automated,Commit ID,Expires,Index,Live,Status,Updated",
    );
    expect((await holdfast(`backup:list --no-header --format plain --columns id,live`)).out).toBe(`${id}  true\n`);
    expect((await holdfast("backup:get -P id")).out).toBe(`${id}\n`);
    expect((await holdfast(`backup:get ${id}`)).out).toContain("\nsafe: false\n");
    expect((await holdfast("backup:get -P nonsense")).exit).toBe(1);
    expect((await holdfast("backup:get aaaaaaaaaaaaaaaaaaaaaaaaaa")).err).toContain("BACKUP_NOT_FOUND");
  });

  test("come as one object of JSON on standard output, with the events as lines of JSON beside it", async () => {
    const { exit, out, err } = await holdfast("backup:create --live --yes --format json");
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      environment: "main",
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
    expect(declined.err).toContain("use --yes (-y)");
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
      new RegExp(`Note: this may replace an older backup, ${oldest} of \\d+ \\w+ \\(manual_count 2\\)`),
    );
    const left = (await holdfast("backup:list --format plain --no-header --columns id")).out.trim().split("\n");
    expect(left).toHaveLength(2);
    expect(left).toContain(second);
    expect(left).not.toContain(oldest);
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
    await holdfast("environment:resume staging");
    const { exit, err } = await holdfast("backup:restore --target staging --yes");
    expect(err).toContain("Not restored, since the environment has no such component: service:flags.");
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

describe("the repository", () => {
  test("is checked, measured and unlocked", async () => {
    expect((await holdfast("repo:check --read-data=50%")).err).toContain("No errors were found");
    expect((await holdfast("repo:check --read-data 7")).exit).toBe(1);
    const stats = JSON.parse((await holdfast("repo:stats --format json")).out) as { snapshots: number };
    expect(stats.snapshots).toBeGreaterThan(0);
    expect((await holdfast("repo:unlock")).err).toContain("Removed 0 locks.");
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
