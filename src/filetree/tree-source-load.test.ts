import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SourceId } from "../base/index.ts";
import { type MemoryBackup, takeBackup } from "../component/conformance/index.ts";
import { TreeSource } from "./tree-source.ts";

const id = "mount:app/media" as SourceId;
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "holdfast-load-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A small generator of numbers, so that a failing run can be repeated. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Does to the tree whatever an application may do, one change a call. */
function changer(seed: number): () => void {
  const random = randomNumbers(seed);
  const directories = (): string[] => [
    root,
    ...readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name)),
  ];
  const files = (): string[] =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  const pick = (paths: string[]): string | undefined => paths[random(paths.length)];
  let count = 0;
  const fresh = (): string => {
    count += 1;
    return join(pick(directories()) as string, `n${count}`);
  };
  const changes: (() => void)[] = [
    () => writeFileSync(fresh(), `new ${random(1e9)}`),
    () => writeFileSync(fresh(), `new ${random(1e9)}`),
    () => mkdirSync(fresh()),
    () => symlinkSync(`../target-${random(1e9)}`, fresh()),
    () => withFile((path) => appendFileSync(path, `more ${random(1e9)}`)),
    () => withFile((path) => writeFileSync(path, "x".repeat(lstatSync(path).size), { flag: "r+" })),
    () => withFile((path) => writeFileSync(path, String(random(10)).repeat(lstatSync(path).size), { flag: "r+" })),
    () => withFile((path) => renameSync(path, fresh())),
    () => withFile((path) => renameSync(path, pick(files()) as string)),
    () => withFile((path) => linkSync(path, fresh())),
    () => withFile((path) => chmodSync(path, 0o600 + random(0o100))),
    () => withFile(unlinkSync),
    () => {
      const path = pick(directories().slice(1));
      const to = fresh();
      if (path !== undefined && !to.startsWith(`${path}/`)) renameSync(path, to);
    },
    () => {
      const path = pick(directories().slice(1));
      if (path !== undefined && random(4) === 0) rmSync(path, { recursive: true });
    },
  ];
  const withFile = (act: (path: string) => void): void => {
    const path = pick(files());
    if (path !== undefined) act(path);
  };
  return () => changes[random(changes.length)]?.();
}

function describeFile(path: string): string {
  const stat = lstatSync(path, { bigint: true });
  const what = stat.isFile() ? readFileSync(path, "latin1") : stat.isSymbolicLink() ? readlinkSync(path) : "";
  return `${stat.mode & 0o7777n} ${stat.mtimeNs} ${stat.isFile() ? stat.nlink : 1} ${what}`;
}

function liveTree(): Record<string, string> {
  const tree: Record<string, string> = { "": describeFile(root) };
  for (const path of readdirSync(root, { recursive: true }) as string[]) tree[path] = describeFile(join(root, path));
  return tree;
}

async function backedUpTree(backup: MemoryBackup): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  for (const { path, metadata, content } of backup.entries) {
    const chunks: Uint8Array[] = [];
    if (content !== undefined) for await (const chunk of backup.contents.read(content)) chunks.push(chunk);
    const what = metadata.linkTarget === undefined ? Buffer.concat(chunks).toString("latin1") : metadata.linkTarget;
    const text = Buffer.from(what).toString();
    tree[path.toString()] = `${metadata.mode} ${metadata.mtimeNs} ${metadata.links} ${text}`;
  }
  return tree;
}

describe("a tree that is written to all the time", () => {
  for (const [name, options, seeds] of [
    ["watched", {}, [1, 2, 3, 4, 5, 6, 7, 8]],
    ["watched, with a kernel queue that overflows", { watchQueueLimit: 20 }, [11, 12, 13, 14]],
    ["compared whole", { watch: "never" }, [21, 22]],
  ] as const) {
    it.each(seeds)(`is read as it was at the freeze point, ${name} (seed %i)`, async (seed) => {
      const change = changer(seed);
      for (let n = 0; n < 200; n += 1) change();
      let writing = true;
      const writer = (async (): Promise<void> => {
        while (writing) {
          for (let n = 0; n < 2; n += 1) change();
          await setImmediate();
        }
      })();
      let frozen: Record<string, string> = {};
      const backup = await takeBackup(
        new TreeSource({ id, kind: "mount", root, unusable: "MOUNT_UNUSABLE", ...options }),
        {
          afterPrepare: async () => {
            writing = false;
            await writer;
            for (let n = 0; n < 30; n += 1) change();
            frozen = liveTree();
          },
          afterFreeze: async () => {
            for (let n = 0; n < 100; n += 1) change();
          },
        },
      );
      expect(await backedUpTree(backup)).toEqual(frozen);
    });
  }
});
