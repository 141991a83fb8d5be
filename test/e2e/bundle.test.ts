import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = path.join(import.meta.dirname, "../..");
let folder: string;

const node = (cwd: string, ...args: string[]): string =>
  execFileSync(process.execPath, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "holdfast-bundle-"));
  node(root, "build/bundle.ts", "--out", path.join(folder, "dist/program"));
  for (const file of ["bin", "package.json"])
    cpSync(path.join(root, file), path.join(folder, file), { recursive: true });
  symlinkSync(path.join(root, "node_modules"), path.join(folder, "node_modules"));
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the bundled program backs up and restores with its threads and its WebAssembly module, without the sources", () => {
  const program = path.join(folder, "bin/holdfast.js");
  const work = path.join(folder, "work");
  mkdirSync(path.join(work, "media"), { recursive: true });
  writeFileSync(path.join(work, "media/picture"), "a picture");
  const database = new DatabaseSync(path.join(work, "flags.db"));
  database.exec("CREATE TABLE flags (name TEXT); INSERT INTO flags VALUES ('on')");
  database.close();
  const config = {
    version: 1,
    state: "./state",
    projects: {
      shop: {
        repository: {
          passwordFile: "./repository.key",
          replicas: [{ name: "disk", type: "local", path: "./repository" }],
        },
        environments: {
          main: {
            type: "production",
            applications: { app: { mounts: { media: "./media" } } },
            services: { flags: { type: "sqlite", path: "./flags.db" } },
          },
        },
      },
    },
  };
  // JSON is YAML.
  writeFileSync(path.join(work, "holdfast.yaml"), JSON.stringify(config));
  const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string };
  expect(node(work, program, "--version").trim()).toBe(version);
  node(work, program, "init");
  node(work, program, "backup:create", "--live", "--yes");
  node(work, program, "backup:restore", "--into", "restored", "--yes");
  expect(readFileSync(path.join(work, "restored/mounts/app/media/picture"), "utf8")).toBe("a picture");
  writeFileSync(path.join(work, "media/picture"), "spoilt");
  node(work, program, "backup:restore", "--yes");
  expect(readFileSync(path.join(work, "media/picture"), "utf8")).toBe("a picture");
}, 60_000);
