import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SourceId } from "../base/index.ts";
import { HoldfastError } from "../base/index.ts";
import type { TargetContext } from "../component/index.ts";
import { makeTestContext, type MemoryBackup, restorable, takeBackup } from "../component/conformance/index.ts";
import { exchangePaths } from "./posix/files.ts";
import { TreeSource } from "./tree-source.ts";
import { TreeTarget, type TreeTargetOptions } from "./tree-target.ts";

const id = "mount:app/media" as SourceId;
let base: string;
let root: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "holdfast-target-"));
  root = join(base, "media");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

function write(files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

/** Path, mode, time and content of everything; staging folders apart. */
function state(folder = root): string[] {
  if (!existsSync(folder)) return [];
  const lines: string[] = [];
  const visit = (path: string): void => {
    const stat = lstatSync(join(folder, path), { bigint: true });
    const text = stat.isFile() ? readFileSync(join(folder, path), "utf8") : "/";
    lines.push(`${path} ${stat.mode.toString(8)} ${stat.mtimeNs} ${text}`);
    if (!stat.isDirectory()) return;
    for (const name of readdirSync(join(folder, path)).sort()) {
      if (!name.startsWith(".holdfast-")) visit(join(path, name));
    }
  };
  visit("");
  return lines;
}

const leftovers = (): string[] =>
  (readdirSync(base, { recursive: true }) as string[]).filter((name) => name.includes(".holdfast-"));

const backUp = (exclude: readonly string[] = []): Promise<MemoryBackup> =>
  takeBackup(new TreeSource({ id, kind: "mount", root, unusable: "MOUNT_UNUSABLE", exclude }));

const old = { "kept/a": "old a", "kept/cache/x": "excluded", gone: "gone", "same/deep/file": "same", changed: "old" };

function changeEverything(): void {
  rmSync(join(root, "gone"));
  write({ changed: "new", "kept/a": "new a", "kept/cache/y": "excluded too", "fresh/file": "fresh" });
}

/** A file system without RENAME_EXCHANGE. */
const cannotExchange = (): never => {
  throw Object.assign(new Error("EINVAL"), { code: "EINVAL" });
};

const variants: [string, Partial<TreeTargetOptions>][] = [
  ["beside", {}],
  ["inside, as where the root is a mount point", { forceInside: true }],
  ["around what is excluded", { exclude: ["kept/cache/**"] }],
  ["inside, around what is excluded", { forceInside: true, exclude: ["kept/cache/**"] }],
  ["where the file system cannot exchange", { exchange: cannotExchange }],
  ["around what is excluded, where it cannot exchange", { exclude: ["kept/cache/**"], exchange: cannotExchange }],
];

const plannedSteps = (context: TargetContext): number =>
  (JSON.parse(readFileSync(join(context.workDirectory, "swap-plan.json"), "utf8")) as { steps: unknown[] }).steps
    .length;

describe.each(variants)("a tree staged %s", (_name, options) => {
  const target = (more: Partial<TreeTargetOptions> = {}): TreeTarget =>
    new TreeTarget({ id, root, ...options, ...more });

  it("replaces everything but what is excluded, and gives it back on revert, times and modes included", async () => {
    write(old);
    const wanted = state().filter((line) => !line.startsWith("kept/cache"));
    const backup = await backUp(options.exclude);
    changeEverything();
    const before = state();
    await using context = await makeTestContext({ contents: backup.contents });
    await target().stage(context, restorable(backup));
    expect(state().map((line) => line.replace(/^ \d+ \d+/, ""))).toEqual(
      before.map((line) => line.replace(/^ \d+ \d+/, "")),
    );
    const report = await target().swap(context, 5000);
    expect(state().filter((line) => !line.startsWith("kept/cache"))).toEqual(wanted);
    expect(existsSync(join(root, "kept/cache/y"))).toBe(options.exclude !== undefined);
    expect(report.facts["method"]).toBe(options.exchange === undefined ? "rename exchange" : "rename twice");
    await target().revert(context);
    expect(withoutRootTime(state(), options)).toEqual(withoutRootTime(before, options));
    expect(leftovers()).toEqual([]);
  });

  it("comes back old or new, whole, from wherever the swap stopped", async () => {
    write(old);
    const backup = await backUp(options.exclude);
    changeEverything();
    const before = state();
    const saved = join(base, "saved");
    execFileSync("cp", ["-a", root, saved]);
    for (let stopAt = 0, steps = 1; stopAt < steps; stopAt += 1) {
      for (const direction of ["revert", "settle"] as const) {
        await using context = await makeTestContext({ contents: backup.contents });
        await target().stage(context, restorable(backup));
        // The clock stands still, then jumps: the swap stops before its step number `stopAt`. What looks at it before there
        // is a plan, for each shared file that was touched, does not count.
        let checks = 0;
        const planned = (): boolean => existsSync(join(context.workDirectory, "swap-plan.json"));
        const clock = { now: () => new Date(), monotonicMs: () => (planned() && (checks += 1) > stopAt ? 1e9 : 0) };
        await expect(target().swap({ ...context, clock }, 5000)).rejects.toMatchObject({ code: "SERVICE_SWAP_FAILED" });
        steps = plannedSteps(context);
        await target()[direction](context);
        await target()[direction](context);
        const expected = direction === "revert" ? "new" : "old";
        expect(readFileSync(join(root, "changed"), "utf8"), `${direction} at step ${stopAt}`).toBe(expected);
        expect(existsSync(join(root, "gone"))).toBe(direction === "settle");
        expect(existsSync(join(root, "fresh"))).toBe(direction === "revert");
        if (direction === "revert") expect(withoutRootTime(state(), options)).toEqual(withoutRootTime(before, options));
        expect(leftovers()).toEqual([]);
        rmSync(root, { recursive: true });
        execFileSync("cp", ["-a", saved, root]);
      }
    }
  });

  it("brings back a root that was lost", async () => {
    write(old);
    const backup = await backUp(options.exclude);
    if (options.forceInside === true) return;
    rmSync(root, { recursive: true });
    await using context = await makeTestContext({ contents: backup.contents });
    await target().stage(context, restorable(backup));
    await target().swap(context, 5000);
    expect(readFileSync(join(root, "changed"), "utf8")).toBe("old");
    await target().revert(context);
    expect(existsSync(root)).toBe(false);
    await target().revert(context);
    expect(leftovers()).toEqual([]);
  });
});

/** The time of a root in which something is staged changes with that. */
function withoutRootTime(lines: string[], options: Partial<TreeTargetOptions>): string[] {
  return options.forceInside === true ? lines.slice(1) : lines;
}

describe("a process that dies between the two renames that stand for an exchange", () => {
  it.each([1, 2])("after rename %i: revert brings the old data back, settle the new", async (died) => {
    for (const direction of ["revert", "settle"] as const) {
      rmSync(root, { recursive: true, force: true });
      write({ file: "backed up" });
      const backup = await backUp();
      write({ file: "live" });
      await using context = await makeTestContext({ contents: backup.contents });
      const dying = new TreeTarget({
        id,
        root,
        exchange: (live, staged) => {
          const aside = Buffer.from(staged.toString().replace(/-new$/, "-tmp"));
          renameSync(live, aside);
          if (died > 1) renameSync(staged, live);
          throw new HoldfastError("INTERNAL", "killed");
        },
      });
      await dying.stage(context, restorable(backup));
      await expect(dying.swap(context, 5000)).rejects.toThrow("killed");
      await new TreeTarget({ id, root, exchange: cannotExchange })[direction](context);
      expect(readFileSync(join(root, "file"), "utf8")).toBe(direction === "revert" ? "live" : "backed up");
      expect(leftovers()).toEqual([]);
    }
  });
});

describe("a tree target", () => {
  it("does not take data that came after a revert for its own when it is told to revert again", async () => {
    write({ file: "one" });
    const backup = await backUp();
    rmSync(root, { recursive: true });
    await using context = await makeTestContext({ contents: backup.contents });
    const target = new TreeTarget({ id, root });
    await target.stage(context, restorable(backup));
    await target.swap(context, 5000);
    await target.revert(context);
    write({ file: "made by hand" });
    await target.revert(context);
    expect(readFileSync(join(root, "file"), "utf8")).toBe("made by hand");
  });

  it("exchanges a root of which the configured path is a link, and leaves the link", async () => {
    write({ file: "one" });
    const backup = await backUp();
    const link = join(base, "current");
    symlinkSync("media", link);
    write({ file: "two" });
    await using context = await makeTestContext({ contents: backup.contents });
    const target = new TreeTarget({ id, root: link });
    await target.stage(context, restorable(backup));
    await target.swap(context, 5000);
    await target.settle(context);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(root, "file"), "utf8")).toBe("one");
  });

  it("refuses before it writes when the disk has no room, and says how much it takes", async () => {
    write({ file: "one" });
    const backup = await backUp();
    const description = { ...backup.description, counts: { bytes: 1e18 }, facts: {} };
    await using context = await makeTestContext({ contents: backup.contents });
    const staging = new TreeTarget({ id, root }).stage(context, { ...restorable(backup), description });
    await expect(staging).rejects.toMatchObject({ code: "TARGET_FULL", facts: { neededBytes: 1e18 } });
    expect(leftovers()).toEqual([]);
  });

  it("removes what it staged when the disk fills up or the repository fails", async () => {
    write({ file: "one", other: "two" });
    const backup = await backUp();
    for (const code of ["ENOSPC", "EIO"]) {
      await using context = await makeTestContext({ contents: backup.contents });
      const contents = {
        read: backup.contents.read.bind(backup.contents),
        writeFiles: (files: readonly unknown[]) =>
          Promise.resolve(files.map(() => ({ status: "failed" as const, code, message: code }))),
      };
      const staging = new TreeTarget({ id, root }).stage({ ...context, contents }, restorable(backup));
      await expect(staging).rejects.toMatchObject({ code: code === "EIO" ? "SERVICE_STAGE_FAILED" : "TARGET_FULL" });
      expect(leftovers()).toEqual([]);
    }
    expect(readFileSync(join(root, "file"), "utf8")).toBe("one");
  });

  it("shares what is the same with the live tree, and writes anew what was touched before the exchange", async () => {
    write({ same: "same", written: "was", moved: "was", "dir/mode": "was", "dir/replaced": "was", changed: "old" });
    const wanted = state();
    const backup = await backUp();
    write({ changed: "new" });
    await using context = await makeTestContext({ contents: backup.contents });
    const target = new TreeTarget({ id, root });
    const report = await target.stage(context, restorable(backup));
    expect(report).toMatchObject({ files: 6, bytes: 19, reusedBytes: 16 });
    const { ino, mtime } = lstatSync(join(root, "same"));
    const fd = openSync(join(root, "written"), "r+");
    writeSync(fd, "by a program that had it open", 0);
    closeSync(fd);
    utimesSync(join(root, "written"), mtime, mtime);
    chmodSync(join(root, "dir/mode"), 0o600);
    renameSync(join(root, "moved"), join(root, "elsewhere"));
    write({ "dir/other": "is" });
    renameSync(join(root, "dir/other"), join(root, "dir/replaced"));
    const before = state();
    // On a new instance: nothing that it needs is in memory.
    const swapped = await new TreeTarget({ id, root }).swap(context, 5000);
    expect(state()).toEqual(wanted);
    expect(lstatSync(join(root, "same")).ino).toBe(ino);
    expect(swapped.facts["renewed"]).toBe(4);
    await target.revert(context);
    expect(state()).toEqual(before);
    expect(lstatSync(join(root, "same")).nlink).toBe(1);
    expect(leftovers()).toEqual([]);
  });

  it("writes anew what a program has mapped into its memory, as it may write there unseen", async () => {
    write({ mapped: "x".repeat(4096), other: "y" });
    const backup = await backUp();
    await using context = await makeTestContext({ contents: backup.contents });
    const target = new TreeTarget({ id, root });
    await target.stage(context, restorable(backup));
    const script =
      "import mmap,sys; f=open(sys.argv[1],'r+b'); m=mmap.mmap(f.fileno(),0); print('up',flush=True); sys.stdin.read()";
    const program = spawn("python3", ["-c", script, join(root, "mapped")], { stdio: ["pipe", "pipe", "inherit"] });
    try {
      await once(program.stdout, "data");
      const swapped = await target.swap(context, 5000);
      expect(swapped.facts["renewed"]).toBe(1);
    } finally {
      program.stdin.end();
      await once(program, "exit");
    }
    await target.settle(context);
    expect(lstatSync(join(root, "mapped")).nlink).toBe(1);
    expect(leftovers()).toEqual([]);
  });

  it("exchanges in one step where it can", () => {
    write({ a: "a" });
    mkdirSync(join(base, "other"));
    exchangePaths(Buffer.from(root), Buffer.from(join(base, "other")));
    expect(existsSync(join(base, "other/a"))).toBe(true);
  });
});
