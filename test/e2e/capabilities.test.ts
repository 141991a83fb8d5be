import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

// As deploy/systemd runs it: a user of its own with the capabilities to read and restore other users' files.

const program = join(import.meta.dirname, "../../bin/holdfast.js");
const [service, site] = [60_001, 60_002];
const isRoot = process.getuid?.() === 0;
const capabilities = "-all,+dac_override,+dac_read_search,+chown,+fowner,+fsetid,+setfcap";
// Who is not root has no other user's files, and shows the rest.
const prefix = isRoot
  ? [
      "setpriv",
      `--reuid=${service}`,
      `--regid=${service}`,
      "--clear-groups",
      `--inh-caps=${capabilities}`,
      `--ambient-caps=${capabilities}`,
      `--bounding-set=${capabilities}`,
      "--no-new-privs",
    ]
  : [];

let folder: string;

function holdfast(...args: string[]): string {
  const [command = "", ...rest] = [...prefix, process.execPath, program, "-c", join(folder, "holdfast.yaml"), ...args];
  return execFileSync(command, rest, { encoding: "utf8", cwd: "/", stdio: ["ignore", "pipe", "pipe"] });
}

function write(name: string, text: string): void {
  const file = join(folder, "site/media", name);
  writeFileSync(file, text, { mode: 0o600 });
  if (isRoot) chownSync(file, site, site);
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-capabilities-"));
  mkdirSync(join(folder, "site/media"), { recursive: true });
  mkdirSync(join(folder, "own"));
  writeFileSync(
    join(folder, "holdfast.yaml"),
    `version: 1
state: ./own/state
projects:
  shop:
    repository:
      passwordFile: ./own/key
      replicas: [{ name: disk, type: local, path: ./own/repository }]
    environments:
      main:
        type: production
        applications: { app: { mounts: { media: ./site/media } } }
`,
  );
  write("picture", "a picture");
  if (!isRoot) return;
  chmodSync(folder, 0o755);
  chownSync(join(folder, "own"), service, service);
  for (const path of ["site", "site/media"]) {
    chownSync(join(folder, path), site, site);
    chmodSync(join(folder, path), 0o700);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

test("folders that only another user may enter are backed up, restored and left as they were", () => {
  holdfast("init");
  holdfast("backup:create", "--live", "--yes");
  write("picture", "spoilt");
  write("later", "made later");
  holdfast("backup:restore", "--yes");
  expect(readFileSync(join(folder, "site/media/picture"), "utf8")).toBe("a picture");
  expect(readdirSync(join(folder, "site"))).toEqual(["media"]);
  expect(readdirSync(join(folder, "site/media"))).toEqual(["picture"]);
}, 60_000);
