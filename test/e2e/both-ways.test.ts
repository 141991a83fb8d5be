import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Outcome, RunningServer } from "./running-server.ts";

// Three shops of the same kind: on two a server runs, whose clients the commands are; on the third they work themselves.
let served: RunningServer;
let local: RunningServer;
let plain: RunningServer;
let token = "";

const ways = {
  "in its own process": (words: readonly string[]) => plain.run(words),
  "over the control socket": (words: readonly string[]) => local.run(words),
  "over HTTP": (words: readonly string[]) =>
    served.run(words, { cwd: "/", env: { HOLDFAST_SERVER: served.url, HOLDFAST_TOKEN: token } }),
} as const;
type Way = keyof typeof ways;
const wayNames = Object.keys(ways) as Way[];

/** Ids of backups, by the words they are called in lines: "$live". */
const named: Readonly<Record<Way, Map<string, string>>> = {
  "in its own process": new Map(),
  "over the control socket": new Map(),
  "over HTTP": new Map(),
};

beforeAll(async () => {
  [served, local, plain] = await Promise.all([RunningServer.start(), RunningServer.start(), RunningServer.start()]);
  await served.becomeAdministrator();
  token = await served.machineUser("admin", ["admin"]);
  await plain.stopServer();
});
afterAll(async () => {
  await Promise.all([served.stop(), local.stop(), plain.stop()]);
});

async function run(way: Way, line: string): Promise<Outcome> {
  const words = line.split(/ +/).map((word) => word.replace(/^\$\w+/, (name) => named[way].get(name) ?? name));
  return ways[way](words);
}

/** What differs in each run: ids, moments, durations, sizes of a database's pages. */
function same(text: string): string {
  return text
    .replaceAll(/\b[a-z2-7]{26}\b/g, "BACKUP")
    .replaceAll(/\b[0-9a-f]{64}\b/g, "SNAPSHOT")
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g, "TIME")
    .replaceAll(/"sizes": \{[^}]*\}/g, '"sizes": SIZES')
    .replaceAll(/("(?:\w+_ms|data_added|data_added_packed|size_used|reused_bytes|renewed|steps)": )[\d.]+/g, "$1N");
}

async function everyWay(line: string): Promise<Outcome> {
  const outcomes = new Map<Way, Outcome>();
  for (const way of wayNames) outcomes.set(way, await run(way, line));
  const [first, ...others] = wayNames.map((way) => ({
    way,
    ...(outcomes.get(way) ?? { exit: null, out: "", err: "" }),
  }));
  if (first === undefined) throw new Error("there is no way");
  for (const other of others) {
    const told = `${line} ${other.way}:\n${other.err}\n${first.way}:\n${first.err}`;
    expect({ exit: other.exit, out: same(other.out) }, told).toEqual({ exit: first.exit, out: same(first.out) });
    expect(errorCode(other.err), told).toBe(errorCode(first.err));
  }
  return first;
}

const errorCode = (text: string): string | undefined => /\[([A-Z_]+), exit \d+\]/.exec(text)?.[1];

async function name(word: string, options: string): Promise<void> {
  for (const way of wayNames) {
    const { exit, out, err } = await run(way, `backup:create -y ${options} --format plain`);
    expect(exit, err).toBe(0);
    named[way].set(word, out.trim());
  }
}

describe("the same command, by whoever does the work, prints the same and ends alike", () => {
  test.each([
    ["backup:list", 1],
    ["backup:get", 1],
    ["backup:create -y -e dev", 1],
    ["backup:restore -y", 1],
    ["backup:delete aaaaaaaaaaaaaaaaaaaaaaaaaa -y", 1],
    ["environment:list --format csv --columns *", 0],
    ["environment:info main --format json -P is_main", 0],
  ])("before there is a backup: %s", async (line, exit) => {
    expect((await everyWay(line)).exit).toBe(exit);
  });

  test("backup:create waits for it, live and safe, and says its id", async () => {
    const live = await everyWay("backup:create -y --live");
    expect([live.exit, live.out]).toEqual([0, expect.stringMatching(/^Backup name: [a-z2-7]{26}\n$/)]);
    await name("$live", "--live");
    await name("$safe", "");
  });

  test.each([
    ["backup:list --format csv --columns *", 0],
    ["backup:list --format json", 0],
    ["backup:get $safe --format json", 0],
    ["backup:get -P hold.requests_failed", 0],
    ["backup:get $live -P safe", 0],
    ["backup:get $live -P nonsense", 1],
    ["backup:get latest -P status", 0],
    ["backup:files $live --format csv --columns name,mode", 0],
    ["backup:files $live mount:app/media --format tsv --columns name,size,links,type", 1],
    ["backup:files $live mount:app/media --format tsv --columns name,size,links,owner", 0],
    ["backup:files $live nowhere", 1],
    ["backup:files mount:app/none", 1],
    ["backup:download $live -o - --only mount:app/media:none", 1],
    ["backup:download aaaaaaaaaaaaaaaaaaaaaaaaaa -o x.tar", 1],
    ["backup:list --columns nonsense", 1],
    ["settings:get --format json", 0],
    ["settings:set data_retention.staging.max_backups 9", 0],
    ["settings:set data_retention.staging.max_backups many", 1],
    ["settings:set data_retention.staging.nonsense 9", 1],
    ["settings:get data_retention.staging.max_backups", 0],
    ["settings:set data_retention.staging null", 0],
    ["settings:get data_retention.staging", 0],
    ["backup:create -y -e nowhere", 1],
    ["backup:create -y -e staging", 4],
    ["backup:create -y -e dev --live", 1],
    ["backup:create", 1],
    ["backup:restore $live -y --only service:none", 1],
    ["backup:restore $live -y --only mount:app/media:none", 1],
    ["backup:restore $live -y --target dev", 1],
    ["backup:restore $live -y --target new --branch-from main", 1],
    ["backup:restore aaaaaaaaaaaaaaaaaaaaaaaaaa -y", 1],
    ["backup:restore $live -y -e staging", 1],
    ["backup:list -p blog", 1],
    ["environment:pause staging", 0],
    ["environment:pause staging", 0],
    ["environment:list --format plain", 0],
    ["environment:resume staging", 0],
    ["environment:resume dev", 1],
    ["environment:activate dev", 0],
    ["environment:deactivate main -y", 1],
    ["environment:deactivate dev -y", 0],
    ["environment:info -e dev --format json -P status", 0],
  ])("%s", async (line, exit) => {
    const outcome = await everyWay(line);
    expect(outcome.exit, outcome.err).toBe(exit);
  });

  test("backup:download writes the same archive", async () => {
    const lists = new Set<string>();
    for (const way of wayNames) {
      const file = join(plain.folder, `${wayNames.indexOf(way)}.tar`);
      const { exit, err } = await run(way, `backup:download $live -o ${file}`);
      expect([exit, err], err).toEqual([0, expect.stringMatching(/Wrote \d+ entries, [\d.]+ kB, of /)]);
      lists.add(execFileSync("tar", ["-tf", file], { encoding: "utf8" }));
      const content = execFileSync("tar", ["-xOf", file, "mounts/app/media/a.txt"], { encoding: "utf8" });
      expect(content).toBe("alpha");
    }
    expect([...lists]).toEqual([expect.stringContaining("services/flags/database.sqlite\n")]);
  });

  test("mount:download writes the same files", async () => {
    for (const way of wayNames) {
      const target = join(plain.folder, `media-${wayNames.indexOf(way)}`);
      const { exit, err } = await run(way, `mount:download --backup $live -m media --target ${target}`);
      expect([exit, err], err).toEqual([0, expect.stringMatching(/Writing mount:app\/media of the backup /)]);
      expect(await readFile(join(target, "a.txt"), "utf8")).toBe("alpha");
    }
  });

  test("backup:restore brings back what was there, whole and in part, and reports the same", async () => {
    for (const shop of [served, local, plain]) await writeFile(join(shop.folder, "media/a.txt"), "changed");
    expect((await everyWay("backup:restore $live -y --only mount:app/media:a.txt --format json")).exit).toBe(0);
    const whole = await everyWay("backup:restore $live -y --format json");
    expect(JSON.parse(whole.out)).toMatchObject({ environment: "main", components: [{}, {}], warnings: [] });
    expect((await everyWay("backup:restore $live -y --target staging")).exit).toBe(0);
  });

  test("backup:create --format json gives the whole backup and what it replaced", async () => {
    const { out } = await everyWay("backup:create -y --live --format json");
    expect(JSON.parse(out)).toMatchObject({ replaced: [expect.any(String)], replicas: ["disk"] });
  });

  test("backup:delete deletes it", async () => {
    await name("$gone", "--live");
    expect((await everyWay("backup:delete $gone -y")).exit).toBe(0);
    expect((await everyWay("backup:get $gone")).exit).toBe(1);
  });
});

describe("a command that does not wait", () => {
  test("returns while the server goes on, and says what to follow", async () => {
    const { exit, out, err } = await run("over HTTP", "backup:create -y --live --no-wait --format json");
    expect(exit, err).toBe(0);
    const { id, activity, log } = JSON.parse(out) as { id: string; activity: string; log: null };
    expect(log).toBeNull();
    expect((await run("over HTTP", `activity:log ${activity}`)).out).toContain(`The backup ${id} is complete`);
    expect((await run("over HTTP", `backup:get ${id} -P id`)).out).toBe(`${id}\n`);
    const removed = await run("over HTTP", `backup:delete ${id} -y --no-wait`);
    expect([removed.exit, removed.err]).toEqual([0, expect.stringContaining("is being deleted")]);
  });
});

describe("a client whose server goes away", () => {
  test("waits for it to come back, and sees its backup complete", async () => {
    const { port } = new URL(served.url);
    await served.stopServer();
    await served.serve(port);
    const waiting = run("over HTTP", "backup:create -y --live");
    await served.requestSeen(/"createBackup"/);
    await served.stopServer("SIGKILL");
    await served.serve(port);
    const { exit, out, err } = await waiting;
    expect([exit, out], err).toEqual([0, expect.stringMatching(/^Backup name: /)]);
  });
});
