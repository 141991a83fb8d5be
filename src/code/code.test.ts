import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SourceId } from "../base/index.ts";
import { makeTestContext, restorable, takeBackup } from "../component/conformance/index.ts";
import { CodeSource, CodeTarget } from "./index.ts";

const id = "code:app" as SourceId;
let base: string;
let root: string;
let media: string;

function git(...args: string[]): string {
  return execFileSync("git", ["-c", "user.email=shop@example.org", "-c", "user.name=Shop", ...args], {
    cwd: root,
    encoding: "utf8",
  }).trim();
}

/** Every file below a folder with all that a reader or `git` could see of it. */
function fingerprint(folder: string): string {
  const hash = createHash("sha256");
  const visit = (path: string): void => {
    const stat = lstatSync(path, { bigint: true });
    hash.update(`${path} ${stat.mode} ${stat.uid} ${stat.gid} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.ino}\0`);
    if (stat.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
    else if (stat.isSymbolicLink()) hash.update(readlinkSync(path));
    else hash.update(readFileSync(path));
  };
  visit(folder);
  return hash.digest("hex");
}

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "holdfast-code-"));
  root = join(base, "shop");
  media = join(root, "public/media");
  mkdirSync(media, { recursive: true });
  mkdirSync(join(root, "var/cache/pages"), { recursive: true });
  writeFileSync(join(root, "index.js"), "version one");
  writeFileSync(join(root, "public/site.css"), "one");
  writeFileSync(join(root, "var/cache/pages/home"), "cached");
  writeFileSync(join(media, "upload"), "mine");
  writeFileSync(join(root, ".gitignore"), "var\npublic/media\n");
  git("init", "-q", "-b", "main");
  git("add", ".");
  git("commit", "-q", "-m", "One");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const options = () => ({ id, root, mounts: [media], exclude: ["var/cache/**"] });

describe("the deployed code", () => {
  it("is backed up without its repository, its mounts and what is excluded", async () => {
    const { entries } = await takeBackup(new CodeSource(options()));
    expect(entries.map(({ path }) => path.toString())).toEqual([
      "",
      ".gitignore",
      "index.js",
      "public",
      "public/site.css",
      "var",
      "var/cache",
    ]);
  });

  it("tells its commit and whether tracked files were changed", async () => {
    const commitId = git("rev-parse", "HEAD");
    expect((await takeBackup(new CodeSource(options()))).description.facts).toMatchObject({ commitId, dirty: false });
    writeFileSync(join(root, "untracked"), "x");
    git("pack-refs", "--all");
    expect((await takeBackup(new CodeSource(options()))).description.facts).toMatchObject({ commitId, dirty: false });
    writeFileSync(join(root, "index.js"), "changed on the server");
    git("checkout", "-q", "--detach");
    expect((await takeBackup(new CodeSource(options()))).description.facts).toMatchObject({ commitId, dirty: true });
  });

  it("tells the commit of a worktree, and none where there is no checkout", async () => {
    const commitId = git("rev-parse", "HEAD");
    git("worktree", "add", "-q", join(base, "worktree"));
    const worktree = await takeBackup(new CodeSource({ id, root: join(base, "worktree") }));
    expect(worktree.description.facts).toMatchObject({ commitId, dirty: false });
    expect(worktree.entries.map(({ path }) => path.toString())).not.toContain(".git");
    mkdirSync(join(base, "plain"));
    const plain = await takeBackup(new CodeSource({ id, root: join(base, "plain") }));
    expect(plain.description.facts).toMatchObject({ commitId: "", dirty: null });
  });

  it("does not write to the repository when it is backed up, and comes back without touching it, mounts or caches", async () => {
    const backup = await takeBackup(new CodeSource(options()));
    writeFileSync(join(root, "index.js"), "version two");
    writeFileSync(join(root, "added.js"), "two");
    rmSync(join(root, "public/site.css"));
    git("add", "-A");
    git("commit", "-q", "-m", "Two");
    writeFileSync(join(media, "later"), "uploaded after the backup");
    const before = [join(root, ".git"), media, join(root, "var/cache/pages")].map(fingerprint);
    await takeBackup(new CodeSource(options()));
    await using context = await makeTestContext({ contents: backup.contents });
    const target = new CodeTarget(options());
    await target.stage(context, restorable(backup));
    await target.swap(context, 5000);
    await target.settle(context);
    expect([join(root, ".git"), media, join(root, "var/cache/pages")].map(fingerprint)).toEqual(before);
    expect(readFileSync(join(root, "index.js"), "utf8")).toBe("version one");
    expect(readFileSync(join(root, "public/site.css"), "utf8")).toBe("one");
    expect(readdirSync(root).sort()).toEqual([".git", ".gitignore", "index.js", "public", "var"]);
    expect(readFileSync(join(media, "later"), "utf8")).toBe("uploaded after the backup");
  });

  it("reverts to exactly the code that was there, with its folders' times", async () => {
    const backup = await takeBackup(new CodeSource(options()));
    writeFileSync(join(root, "index.js"), "version two");
    mkdirSync(join(root, "fresh"));
    const before = [join(root, "public"), root].map((path) => lstatSync(path, { bigint: true }).mtimeNs);
    await using context = await makeTestContext({ contents: backup.contents });
    const target = new CodeTarget(options());
    await target.stage(context, restorable(backup));
    await target.swap(context, 5000);
    expect(readFileSync(join(root, "index.js"), "utf8")).toBe("version one");
    await new CodeTarget(options()).revert(context);
    expect(readFileSync(join(root, "index.js"), "utf8")).toBe("version two");
    expect([join(root, "public"), root].map((path) => lstatSync(path, { bigint: true }).mtimeNs)).toEqual(before);
    expect(readdirSync(base)).toEqual(["shop"]);
  });

  it("refuses a folder that is not there", async () => {
    const source = new CodeSource({ id, root: join(base, "nowhere") });
    await using context = await makeTestContext();
    await expect(source.prepare(context)).rejects.toMatchObject({ code: "CODE_UNUSABLE" });
    await source.dispose();
  });
});
