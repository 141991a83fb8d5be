import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { joinEntryPath, type StoredEntry } from "../../src/component/index.ts";
import { Sealer } from "../../src/repository/crypto/envelope.ts";
import { findMasterKey } from "../../src/repository/crypto/key-list.ts";
import { loadIndex } from "../../src/repository/index/load-index.ts";
import { createRepository, openRepository, type Repository, type Snapshot } from "../../src/repository/index.ts";
import { BlobLoader } from "../../src/repository/pack/blob-loader.ts";
import { decodeTree } from "../../src/repository/tree/decode-tree.ts";
import { encodeTree } from "../../src/repository/tree/tree-format.ts";
import { UnpackedFiles } from "../../src/repository/unpacked-files.ts";
import { LocalBackend } from "../../src/storage/index.ts";
import { describeTree, entriesOf, makeTree, metadataOf } from "./tree-fixture.ts";

const password = "correct horse";
const rootPath = Buffer.alloc(0);

describe("with the real restic", () => {
  let folder: string;
  let tree: string;
  let repository: Repository;
  let written: Snapshot;
  let restored = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-compat-"));
    tree = join(folder, "tree");
    await mkdir(tree);
    await makeTree(tree);
    await createRepository(new LocalBackend(join(folder, "repository")), { password });
    repository = await openRepository(new LocalBackend(join(folder, "repository")), { password, workers: 1 });
    written = await backUp();
  });
  afterAll(async () => {
    await repository.close();
    await rm(folder, { recursive: true });
  });

  function restic(...args: string[]): string {
    const env = { ...process.env, RESTIC_PASSWORD: password, RESTIC_REPOSITORY: join(folder, "repository"), TZ: "UTC" };
    return execFileSync("restic", ["--no-cache", "--quiet", ...args], { env, encoding: "utf8", stdio: "pipe" });
  }

  async function backUp(): Promise<Snapshot> {
    await using writer = disposable(await repository.writer());
    const stored = await writer.storeTree(entriesOf(tree));
    return await writer.saveSnapshot({
      time: new Date(),
      tree: stored.id,
      paths: ["/tree"],
      hostname: "shop",
      tags: ["holdfast", "project:shop"],
    });
  }

  async function restore(id: string): Promise<string[]> {
    restored += 1;
    const target = join(folder, `restored-${restored}`);
    restic("restore", id, "--target", target);
    return describeTree(target);
  }

  async function entriesByPath(snapshot: Snapshot, below: string): Promise<Map<string, StoredEntry>> {
    await using reader = disposable(await repository.reader());
    const entries = new Map<string, StoredEntry>();
    for await (const entry of reader.walk(snapshot, Buffer.from(below))) {
      entries.set(entry.path.toString("latin1"), entry);
    }
    return entries;
  }

  it("has our repository checked to the last byte", () => {
    expect(restic("check", "--read-data")).toBe("");
  });

  it("lists our snapshot with its tags, host and paths", () => {
    const list = JSON.parse(restic("snapshots", "--json")) as Record<string, unknown>[];
    expect(list).toHaveLength(1);
    expect(list[0]).toMatchObject({
      id: written.id,
      tree: written.tree,
      hostname: "shop",
      paths: ["/tree"],
      tags: ["holdfast", "project:shop"],
    });
  });

  it("restores what we wrote, equal in content and metadata", async () => {
    expect(await restore(written.id)).toEqual(await describeTree(tree));
  });

  it("writes a snapshot that we read, equal in content and metadata", async () => {
    restic("backup", tree);
    const snapshots = await repository.snapshots();
    const theirs = snapshots.at(-1) as Snapshot;
    expect(theirs.id).not.toBe(written.id);
    expect(theirs.paths).toEqual([tree]);
    const entries = await entriesByPath(theirs, tree.slice(1));
    const own = await entriesByPath(written, "");
    expect(Array.from(entries.keys())).toEqual(Array.from(own.keys()));
    await using reader = disposable(await repository.reader());
    for (const [path, entry] of entries) {
      const absolute = path === "" ? Buffer.from(tree) : joinEntryPath(Buffer.from(tree), Buffer.from(path, "latin1"));
      const { metadata } = entry;
      const expected = await metadataOf(absolute);
      expect({ ...metadata, user: undefined, group: undefined, xattrs: byName(metadata.xattrs) }).toEqual({
        ...expected,
        links: metadata.type === "dir" || metadata.type === "fifo" ? 1 : expected.links,
        user: undefined,
        group: undefined,
        xattrs: byName(expected.xattrs),
      });
      if (entry.content === undefined) continue;
      const hashes = [reader.read(entry.content), reader.read(own.get(path)?.content ?? entry.content)].map(hashOf);
      expect(await hashes[0]).toBe(await hashes[1]);
    }
  });

  it("wrote trees that we would have written, byte for byte", async () => {
    const backend = new LocalBackend(join(folder, "repository"));
    const key = await findMasterKey(backend, password);
    const index = await loadIndex(new UnpackedFiles(backend, new Sealer(key)));
    const loader = new BlobLoader(backend, new Sealer(key), index);
    const theirs = (await repository.snapshots()).at(-1) as Snapshot;
    const waiting = [theirs.tree];
    let seen = 0;
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      const bytes = await loader.load("tree", id);
      const children = decodeTree(bytes, `tree ${id}`);
      expect(encodeTree(children).toString()).toBe(bytes.toString());
      waiting.push(...children.flatMap(({ subtree }) => subtree ?? []));
      seen += 1;
    }
    expect(seen).toBeGreaterThan(6);
  });

  it("takes a snapshot of ours as the parent of its own", async () => {
    await writeFile(join(tree, "added-later"), "new");
    const output = restic("backup", tree, "--host", "shop", "--verbose=2", "--quiet=false", "--json");
    expect(output).toContain('"message_type":"summary"');
    expect((await repository.check({ readDataRatio: 1 })).findings).toEqual([]);
  });

  it("forgets and prunes in our repository, and what is left is sound for both", async () => {
    const again = await backUp();
    const before = await repository.stats();
    restic("forget", "--prune", "--keep-last", "1", "--group-by", "host");
    const report = await repository.check({ readDataRatio: 1 });
    expect(report.findings).toEqual([]);
    expect(report.snapshots).toBeLessThan(before.snapshots);
    expect(restic("check", "--read-data")).toBe("");
    expect((await repository.snapshots()).map(({ id }) => id)).toContain(again.id);
    expect(await restore(again.id)).toEqual(await describeTree(tree));
  });

  it("opens the repository with a key that it added itself, and so do we", async () => {
    await writeFile(join(folder, "second-password"), "second");
    restic("key", "add", "--new-password-file", join(folder, "second-password"));
    const second = await openRepository(new LocalBackend(join(folder, "repository")), {
      password: "second",
      workers: 1,
    });
    expect(second.id).toBe(repository.id);
    await second.close();
    await expect(
      openRepository(new LocalBackend(join(folder, "repository")), { password: "third", workers: 1 }),
    ).rejects.toMatchObject({ code: "REPOSITORY_PASSWORD_WRONG" });
  });

  it("respects our locks, and we respect its", async () => {
    await using writer = disposable(await repository.writer());
    expect(() => restic("prune")).toThrow(/locked/);
    expect(writer.stats().blobsNew).toBe(0);
    const locks = await repository.locks();
    expect(locks).toHaveLength(1);
    expect(locks[0]).toMatchObject({ pid: process.pid, exclusive: false, stale: false });
    expect(JSON.parse(restic("--no-lock", "cat", "lock", locks[0]?.id ?? ""))).toMatchObject({ pid: process.pid });
  });

  it("keeps a link's target that is not UTF-8, which only newer versions of it restore", async () => {
    const target = Buffer.from([0x61, 0xff, 0x2f, 0xfe]);
    const links = join(folder, "links");
    await mkdir(links);
    await using writer = disposable(await repository.writer());
    const metadata = {
      ...(await metadataOf(Buffer.from(links))),
      type: "symlink" as const,
      mode: 0o777,
      linkTarget: target,
    };
    const id = await writer.storeDirectory([{ name: Buffer.from("link"), metadata }]);
    const snapshot = await writer.saveSnapshot({ time: new Date(), tree: id, paths: ["/"], hostname: "h", tags: [] });
    await using reader = disposable(await repository.reader());
    expect((await reader.list(snapshot, rootPath))[0]?.metadata.linkTarget).toEqual(target);
  });
});

function disposable<T extends { close(): Promise<void> }>(closable: T): T & AsyncDisposable {
  return Object.assign(closable, { [Symbol.asyncDispose]: () => closable.close() });
}

function byName(attributes: StoredEntry["metadata"]["xattrs"]): string[] {
  return (attributes ?? []).map(({ name, value }) => `${name}=${Buffer.from(value).toString("hex")}`).sort();
}

async function hashOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of stream) hash.update(bytes);
  return hash.digest("hex");
}
