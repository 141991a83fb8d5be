import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { HoldfastError } from "../../../src/base/index.ts";
import { writeTree } from "../../../src/filetree/index.ts";
import { openRepository, type Snapshot } from "../../../src/repository/index.ts";
import { contentOf, HostileRepository, nodeOf } from "./hostile-repository.ts";
import { password } from "./stored-backups.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "holdfast-hostile-"));
  mkdirSync(path.join(folder, "target"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  readonly restore: unknown;
  readonly read: unknown;
  readonly findings: string;
  /** What stands beside the target, which has to be empty. */
  readonly outside: readonly string[];
  readonly memoryGrowth: number;
}

const caught = async (work: () => Promise<unknown>): Promise<unknown> => {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
};

/** Restores, reads and checks what was forged. */
async function attempt({ backend }: HostileRepository, snapshot: Snapshot): Promise<Outcome> {
  const before = process.memoryUsage.rss();
  const repository = await openRepository(backend, { password, workers: 1 });
  try {
    const reader = await repository.reader();
    const root = Buffer.alloc(0);
    const target = Buffer.from(path.join(folder, "target/restored"));
    const restore = await caught(() =>
      writeTree(target, reader.walk(snapshot, root), reader, { warn: () => undefined }),
    );
    const read = await caught(async () => {
      for await (const { content } of reader.walk(snapshot, root)) {
        if (content !== undefined)
          for await (const piece of reader.read(content)) expect(piece.length).toBeLessThan(1e9);
      }
    });
    await reader.close();
    const { findings } = await repository.check({ readDataRatio: 1 });
    return {
      restore,
      read,
      findings: findings
        .filter(({ severity }) => severity === "error")
        .map(({ message }) => message)
        .join("\n"),
      outside: readdirSync(folder).filter((name) => name !== "target"),
      memoryGrowth: process.memoryUsage.rss() - before,
    };
  } finally {
    await repository.close();
  }
}

function expectRefused(outcome: Outcome): void {
  expect(outcome.restore).toBeInstanceOf(HoldfastError);
  expect(outcome.read).toBeInstanceOf(HoldfastError);
  expect(["REPOSITORY_DAMAGED", "ENTRY_UNSAFE"]).toContain((outcome.restore as HoldfastError).code);
  expect(outcome.findings).not.toBe("");
  expect(outcome.outside).toEqual([]);
  expect(outcome.memoryGrowth).toBeLessThan(600e6);
}

it.each(["..", ".", "", "a/b", "../outside", "/etc/outside", "a\\x00b", "\\x2e\\x2e", "\\x2e\\x2e/outside"])(
  "an entry named %j is refused, and nothing is written beside the target",
  async (name) => {
    const hostile = await HostileRepository.make();
    const data = hostile.add("data", Buffer.from("evil"));
    const tree = hostile.addTree([nodeOf(name, contentOf(4, data))]);
    expectRefused(await attempt(hostile, await hostile.finish(tree)));
  },
);

it("a link and then a folder of the same name does not lead the restore out of its target", async () => {
  const hostile = await HostileRepository.make();
  const data = hostile.add("data", Buffer.from("evil"));
  const below = hostile.addTree([nodeOf("outside", contentOf(4, data))]);
  const link = { ...nodeOf(folder, {}, "symlink"), name: "way" };
  const tree = hostile.addTree([link, nodeOf("way", { subtree: below }, "dir")]);
  expectRefused(await attempt(hostile, await hostile.finish(tree)));
});

it("does not restore through a link that stands where the target is to be", async () => {
  const hostile = await HostileRepository.make();
  const data = hostile.add("data", Buffer.from("evil"));
  const tree = hostile.addTree([nodeOf("file", contentOf(4, data))]);
  mkdirSync(path.join(folder, "target/elsewhere"));
  symlinkSync("elsewhere", path.join(folder, "target/restored"));
  const { restore } = await attempt(hostile, await hostile.finish(tree));
  expect(restore).toBeInstanceOf(HoldfastError);
  expect(readdirSync(path.join(folder, "target/elsewhere"))).toEqual([]);
  expect(lstatSync(path.join(folder, "target/restored")).isSymbolicLink()).toBe(true);
});

it("a tree that claims to contain itself is refused: its id cannot match", async () => {
  const hostile = await HostileRepository.make();
  const [one, two] = ["aa".repeat(32), "bb".repeat(32)];
  const tree = (subtree: string): Buffer =>
    Buffer.from(JSON.stringify({ nodes: [nodeOf("again", { subtree }, "dir")] }));
  hostile.add("tree", tree(two), { id: one });
  hostile.add("tree", tree(one), { id: two });
  expectRefused(await attempt(hostile, await hostile.finish(one)));
});

it("directories deeper than any path are refused", async () => {
  const hostile = await HostileRepository.make();
  let tree = hostile.addTree([]);
  for (let depth = 0; depth < 4200; depth += 1) tree = hostile.addTree([nodeOf("d", { subtree: tree }, "dir")]);
  const { restore, read, outside } = await attempt(hostile, await hostile.finish(tree));
  expect(restore).toBeInstanceOf(HoldfastError);
  expect(read).toMatchObject({ code: "ENTRY_UNSAFE" });
  expect(outside).toEqual([]);
});

it.each([
  ["an offset beyond the pack", (length: number) => ({ offset: 4_000_000_000, length })],
  ["a length beyond the pack", () => ({ offset: 0, length: 4_000_000_000 })],
  ["a plaintext of 4 GiB", (length: number) => ({ offset: 0, length, uncompressedLength: 0xffff_ffff })],
  ["a plaintext of 200 MB", (length: number) => ({ offset: 0, length, uncompressedLength: 200_000_000 })],
  ["a plaintext of one byte", (length: number) => ({ offset: 0, length, uncompressedLength: 1 })],
])("an index that gives a blob %s is refused", async (_what, change) => {
  const hostile = await HostileRepository.make();
  const data = hostile.add("data", Buffer.from("x".repeat(1000)), { compress: true });
  const tree = hostile.addTree([nodeOf("file", contentOf(1000, data))]);
  const snapshot = await hostile.finish(tree, (blob) =>
    blob.type === "data" ? { ...blob, ...change(blob.length) } : blob,
  );
  expectRefused(await attempt(hostile, snapshot));
});

it("a frame that unpacks to more than it claims stops at what it claims", async () => {
  const hostile = await HostileRepository.make();
  const bomb = Buffer.alloc(512 << 20);
  const data = hostile.add("data", bomb, { compress: true, claim: 1000 });
  const tree = hostile.addTree([nodeOf("file", contentOf(1000, data))]);
  expectRefused(await attempt(hostile, await hostile.finish(tree)));
});

it("a file whose blobs are not as long as it says, an unknown blob and a foreign pack are refused", async () => {
  const hostile = await HostileRepository.make();
  const data = hostile.add("data", Buffer.from("short"));
  const tree = hostile.addTree([nodeOf("file", contentOf(2 ** 50, data))]);
  expectRefused(await attempt(hostile, await hostile.finish(tree)));
  const other = await HostileRepository.make();
  const lost = other.addTree([nodeOf("file", contentOf(5, "ab".repeat(32)))]);
  expectRefused(await attempt(other, await other.finish(lost)));
  const foreign = await HostileRepository.make();
  const blob = foreign.add("data", Buffer.from("12345"));
  const snapshot = await foreign.finish(foreign.addTree([nodeOf("file", contentOf(5, blob))]));
  for await (const { name } of foreign.backend.list("data")) await foreign.backend.remove({ type: "data", name });
  expectRefused(await attempt(foreign, snapshot));
});

it("JSON that is too large, too deep or not ours is refused", async () => {
  for (const json of ["[".repeat(200_000), `{"nodes":${"[".repeat(100_000)}`, '{"nodes":[[]]}', "null", '"x"', ""]) {
    const hostile = await HostileRepository.make();
    const tree = hostile.add("tree", Buffer.from(json));
    expectRefused(await attempt(hostile, await hostile.finish(tree)));
  }
  expect(existsSync(path.join(folder, "target/restored/x"))).toBe(false);
});
