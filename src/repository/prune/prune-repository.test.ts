import { execFileSync } from "node:child_process";
import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { LocalBackend } from "../../storage/index.ts";
import { Sealer } from "../crypto/envelope.ts";
import { findMasterKey } from "../crypto/key-list.ts";
import { encodeMarks } from "../index/pack-marks.ts";
import { acquireLock } from "../lock/repository-lock.ts";
import { createRepository, openRepository } from "../open.ts";
import type { Repository, RepositoryWriter, Snapshot } from "../repository.ts";
import { UnpackedFiles } from "../unpacked-files.ts";
import {
  collect,
  directoryEntry,
  noise,
  snapshotOf,
  streamEntry,
  streamOf,
  temporaryFolder,
} from "../writer/conformance/bare-repository.ts";

const password = "correct horse";
const atOnce = { safetyMs: 0, maxUnused: { ratio: 0 } } as const;

/** Contents by name: `seed` says which bytes. */
type Files = Readonly<Record<string, number>>;
const sizeOf = (seed: number): number => 20_000 + (seed % 7) * 1000;

async function fill(writer: RepositoryWriter, files: Files): Promise<Snapshot> {
  const names = Object.keys(files).sort();
  const entries = names.map((name) => streamEntry(name, () => [noise(sizeOf(files[name] ?? 0), files[name] ?? 0)]));
  const { id } = await writer.storeTree(streamOf([directoryEntry(""), ...entries]));
  return writer.saveSnapshot({ ...snapshotOf(id), time: new Date() });
}

async function backUp(repository: Repository, files: Files): Promise<Snapshot> {
  const writer = await repository.writer();
  try {
    return await fill(writer, files);
  } finally {
    await writer.close();
  }
}

async function expectContents(repository: Repository, snapshot: Snapshot, files: Files): Promise<void> {
  const reader = await repository.reader();
  try {
    const found = new Map<string, Buffer>();
    for await (const entry of reader.walk(snapshot, Buffer.alloc(0))) {
      if (entry.content !== undefined) found.set(entry.path.toString(), await collect(reader.read(entry.content)));
    }
    expect(Array.from(found.keys())).toEqual(Object.keys(files).sort());
    for (const [name, seed] of Object.entries(files))
      expect(found.get(name)?.equals(noise(sizeOf(seed), seed))).toBe(true);
  } finally {
    await reader.close();
  }
}

async function filesAt(path: string): Promise<UnpackedFiles> {
  const backend = new LocalBackend(path);
  return new UnpackedFiles(backend, new Sealer(await findMasterKey(backend, password)));
}

const range = (from: number, to: number): Files =>
  Object.fromEntries(Array.from({ length: to - from }, (_, at) => [`f${from + at}`, from + at]));

describe("a prune", () => {
  const open: { repository: Repository; folder: AsyncDisposable }[] = [];
  afterAll(async () => {
    for (const { repository, folder } of open) {
      await repository.close();
      await folder[Symbol.asyncDispose]();
    }
  });

  async function make(): Promise<{ path: string; repository: Repository; restic: (...args: string[]) => string }> {
    const folder = await temporaryFolder();
    const path = join(folder.path, "repository");
    await createRepository(new LocalBackend(path), { password });
    const repository = await openRepository(new LocalBackend(path), { password, workers: 1 });
    open.push({ repository, folder });
    const env = { ...process.env, RESTIC_PASSWORD: password, RESTIC_REPOSITORY: path };
    const restic = (...args: string[]): string =>
      execFileSync("restic", ["--no-cache", "--quiet", ...args], { env, encoding: "utf8", stdio: "pipe" });
    return { path, repository, restic };
  }

  const errorsOf = async (repository: Repository): Promise<unknown[]> =>
    (await repository.check({ readDataRatio: 1 })).findings.filter(({ severity }) => severity === "error");

  it("shows its plan without doing anything, then frees at once what no process can know", async () => {
    const { repository, restic } = await make();
    const gone = await backUp(repository, range(0, 40));
    const kept = await backUp(repository, range(30, 60));
    await repository.forget(gone.id);
    const before = await repository.stats();

    const planned = await repository.prune({ ...atOnce, dryRun: true });
    expect(planned.plan.repack.packs).toBeGreaterThan(0);
    expect(planned.deleted).toEqual({ packs: 0, bytes: 0 });
    expect(await repository.stats()).toEqual(before);

    const done = await repository.prune(atOnce);
    expect(done.plan).toEqual(planned.plan);
    expect(done.heldBack).toEqual({ packs: 0, bytes: 0 });
    const after = await repository.stats();
    // 30 of 60 files of some 23 kB are gone.
    expect(before.bytesStored - after.bytesStored).toBeGreaterThan(500_000);
    expect(await errorsOf(repository)).toEqual([]);
    expect(restic("check", "--read-data")).toBe("");
    await expectContents(repository, kept, range(30, 60));
    expect(await repository.locks()).toEqual([]);

    const again = await repository.prune(atOnce);
    expect(again.plan).toMatchObject({ bytesFreed: 0, bytesFreedLater: 0, bytesRewritten: 0 });
  });

  it("marks first, and deletes only once the safety time is over", async () => {
    const { repository, restic } = await make();
    const gone = await backUp(repository, range(0, 40));
    const kept = await backUp(repository, range(30, 60));
    await repository.forget(gone.id);
    const marked = await repository.prune({ maxUnused: { ratio: 0 } });
    expect(marked.deleted.packs).toBe(0);
    expect(marked.plan.bytesFreedLater).toBeGreaterThan(500_000);
    // For restic, all is as it was.
    expect(restic("check", "--read-data")).toBe("");
    const waiting = await repository.prune({ maxUnused: { ratio: 0 } });
    expect(waiting.plan.wait.packs).toBe(marked.plan.mark.packs + marked.plan.repack.packs);
    expect(waiting.plan.delete.packs + waiting.plan.repack.packs + waiting.plan.mark.packs).toBe(0);
    await expectContents(repository, kept, range(30, 60));

    const deleted = await repository.prune({ maxUnused: { ratio: 0 }, safetyMs: 0 });
    expect(deleted.deleted.packs).toBe(waiting.plan.wait.packs);
    expect(await errorsOf(repository)).toEqual([]);
    expect(restic("check", "--read-data")).toBe("");
    await expectContents(repository, kept, range(30, 60));
  });

  it("has writers store again what lies in marked packs only, and frees those all the same", async () => {
    const { repository, restic } = await make();
    const gone = await backUp(repository, range(0, 40));
    await repository.forget(gone.id);
    await repository.prune();
    const writer = await repository.writer();
    const again = await fill(writer, range(0, 40));
    expect(writer.stats().blobsNew).toBeGreaterThanOrEqual(40);
    await writer.close();
    const done = await repository.prune({ safetyMs: 0 });
    expect(done.plan.unmark.packs).toBe(0);
    expect(done.deleted.packs).toBeGreaterThan(0);
    await expectContents(repository, again, range(0, 40));
    expect(restic("check", "--read-data")).toBe("");
  });

  it("takes a mark back when a writer that could not know it needs the pack", async () => {
    const { repository, restic } = await make();
    const gone = await backUp(repository, range(0, 40));
    // Began before the pack was marked.
    const writer = await repository.writer();
    await repository.forget(gone.id);
    const held = await repository.prune({ safetyMs: 0 });
    expect(held.deleted.packs).toBe(0);
    expect(held.heldBack.packs).toBeGreaterThan(0);
    expect(held.heldBack.reason).toContain(`process ${process.pid}`);
    const snapshot = await fill(writer, range(0, 40));
    expect(writer.stats().blobsNew).toBe(0);
    await writer.close();
    expect(restic("check", "--read-data")).toBe("");
    const done = await repository.prune({ safetyMs: 0 });
    expect(done.plan.unmark.packs).toBeGreaterThan(0);
    expect(done.deleted.packs).toBe(0);
    await expectContents(repository, snapshot, range(0, 40));
    expect((await repository.prune({ safetyMs: 0 })).plan).toMatchObject({ unmark: { packs: 0 }, wait: { packs: 0 } });
    expect(restic("check", "--read-data")).toBe("");
  });

  it("does not let restic lose anything that refers to marked packs", async () => {
    const { path, repository, restic } = await make();
    const source = join(path, "..", "source");
    await mkdir(source);
    await writeFile(join(source, "a"), noise(300_000, 1));
    restic("backup", source);
    const [first] = JSON.parse(restic("snapshots", "--json")) as { id: string }[];
    restic("forget", first?.id ?? "");
    await repository.prune();
    // restic knows no marks: it finds all blobs there.
    restic("backup", source);
    await repository.prune({ safetyMs: 0 });
    expect(restic("check", "--read-data")).toBe("");
    restic("restore", "latest", "--target", join(path, "..", "restored"));
    expect(execFileSync("diff", ["-r", source, join(path, "..", "restored", source)], { encoding: "utf8" })).toBe("");
    restic("prune");
    expect(await errorsOf(repository)).toEqual([]);
    await repository.prune({ safetyMs: 0 });
    expect(restic("check", "--read-data")).toBe("");
  });

  it("deletes nothing while a client of restic is at work, and says so", async () => {
    const { path, repository, restic } = await make();
    const gone = await backUp(repository, range(0, 40));
    await repository.forget(gone.id);
    const files = await filesAt(path);
    const lock = { time: new Date().toISOString(), exclusive: false, hostname: "elsewhere", username: "u", pid: 1 };
    const id = await files.save("lock", JSON.stringify(lock));
    const report = await repository.prune({ safetyMs: 0 });
    expect(report.deleted.packs).toBe(0);
    expect(report.heldBack.reason).toContain("u@elsewhere");
    await files.backend.remove({ type: "lock", name: id });
    expect((await repository.prune({ safetyMs: 0 })).deleted.packs).toBeGreaterThan(0);
    expect(restic("check", "--read-data")).toBe("");
  });

  it("deletes nothing that a check may be about to read, and no check begins in the moment of deletion", async () => {
    const { path, repository } = await make();
    const gone = await backUp(repository, range(0, 40));
    await repository.forget(gone.id);
    const files = await filesAt(path);
    const packs: string[] = [];
    for await (const { name } of files.backend.list("data")) packs.push(name);
    const time = new Date(Date.now() - 2 * 86_400_000);
    await files.save("index", encodeMarks({ time, packs, orphans: [] }));
    const check = await acquireLock(files, { exclusive: false, work: "check" });
    const report = await repository.prune();
    expect(report.heldBack.packs).toBe(packs.length);
    expect(report.heldBack.reason).toContain("checks the repository");
    await check.release();
    const moment = await acquireLock(files, { exclusive: true, work: "moment" });
    const timing = { waitMs: 0 };
    await expect(acquireLock(files, { exclusive: false, work: "check", timing })).rejects.toMatchObject({
      code: "REPOSITORY_LOCKED",
    });
    await moment.release();
    expect((await repository.prune()).deleted.packs).toBe(packs.length);
    expect((await repository.check()).findings).toEqual([]);
  });

  it("removes what killed writers left: packs without an index after the safety time, old temporaries", async () => {
    const { path, repository } = await make();
    await backUp(repository, range(0, 5));
    const files = await filesAt(path);
    const orphan = "ab".repeat(32);
    await files.backend.save({ type: "data", name: orphan }, noise(1000, 9));
    const old = join(path, "data", "ab", `${orphan}-tmp-0123456789ab`);
    await writeFile(old, "x");
    await utimes(old, new Date(0), new Date(0));
    await writeFile(join(path, "index", `${orphan}-tmp-0123456789ab`), "x");
    const first = await repository.prune();
    expect(first.plan.mark).toEqual({ packs: 1, bytes: 1000 });
    expect(first.temporariesRemoved).toBe(1);
    expect((await repository.prune()).plan.wait).toEqual({ packs: 1, bytes: 1000 });
    expect((await repository.prune({ safetyMs: 0 })).deleted).toEqual({ packs: 1, bytes: 1000 });
    expect(await readdir(join(path, "data", "ab"))).not.toContain(orphan);
    expect((await repository.check()).findings).toEqual([]);
  });

  it("goes on beside two writers and readers, again and again, and every backup stays whole", async () => {
    const { path, repository, restic } = await make();
    const other = await openRepository(new LocalBackend(path), { password, workers: 1 });
    const complete: { snapshot: Snapshot; files: Files }[] = [];
    const work = async (by: Repository, seed: number): Promise<void> => {
      for (let round = 0; round < 5; round += 1) {
        const files = range(seed * 10 + round * 5, seed * 10 + round * 5 + 30);
        const snapshot = await backUp(by, files);
        await expectContents(by, snapshot, files);
        if (round % 2 === 0) await by.forget(snapshot.id);
        else complete.push({ snapshot, files });
      }
    };
    let working = true;
    const prunes = async (): Promise<void> => {
      while (working) await repository.prune(atOnce);
    };
    const pruning = prunes();
    try {
      await Promise.all([work(repository, 0), work(other, 1)]);
    } finally {
      working = false;
      await pruning;
    }
    await repository.prune(atOnce);
    await other.close();
    expect(complete).toHaveLength(4);
    for (const { snapshot, files } of complete) await expectContents(repository, snapshot, files);
    expect(await errorsOf(repository)).toEqual([]);
    expect(restic("check", "--read-data")).toBe("");
  }, 60_000);

  it("refuses a second prune beside it", async () => {
    const { repository } = await make();
    const results = await Promise.allSettled([1, 2, 3].map(() => repository.prune()));
    const refused = results.filter((result) => result.status === "rejected");
    for (const { reason } of refused) expect(reason).toMatchObject({ code: "REPOSITORY_LOCKED" });
    expect(refused.length).toBeLessThan(3);
    await expect(repository.prune({ maxUnused: { ratio: 2 } })).rejects.toThrow(RangeError);
    await expect(repository.prune({ safetyMs: -1 })).rejects.toThrow(RangeError);
  });
});
