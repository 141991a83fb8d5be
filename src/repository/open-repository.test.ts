import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Entry, generatedDirectory, generatedFile } from "../component/index.ts";
import { LocalBackend } from "../storage/index.ts";
import { createRepository, openRepository } from "./open.ts";
import type { Repository, RepositoryWriter, Snapshot } from "./repository.ts";

const password = "p";
const at = new Date("2026-01-01T00:00:00Z");
const path = (text: string): Buffer => Buffer.from(text);

async function* entries(): AsyncGenerator<Entry> {
  yield generatedDirectory("", at);
  yield generatedDirectory("a", at);
  yield generatedFile("a/x", at, async function* open() {
    yield Buffer.from("hello");
  });
  yield generatedDirectory("a/y", at);
  yield generatedFile("a.txt", at, async function* open() {
    yield Buffer.from("text");
  });
}

describe("an open repository", () => {
  let folder: string;
  let repository: Repository;
  let snapshot: Snapshot;

  const save = async (writer: RepositoryWriter): Promise<Snapshot> => {
    const { id: tree } = await writer.storeTree(entries());
    return writer.saveSnapshot({ time: at, tree, paths: ["/"], hostname: "h", tags: ["t"] });
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-repository-"));
    await createRepository(new LocalBackend(folder), { password });
    repository = await openRepository(new LocalBackend(folder), { password, workers: 1 });
    const writer = await repository.writer();
    snapshot = await save(writer);
    await writer.close();
  });
  afterAll(async () => {
    await repository.close();
    await rm(folder, { recursive: true });
  });

  it("finds, lists and walks what a snapshot holds", async () => {
    expect(await repository.snapshots()).toEqual([snapshot]);
    const reader = await repository.reader();
    const walked = async (from: string): Promise<string[]> => {
      const paths: string[] = [];
      for await (const entry of reader.walk(snapshot, path(from))) paths.push(entry.path.toString());
      return paths;
    };
    expect(await walked("")).toEqual(["", "a", "a/x", "a/y", "a.txt"]);
    expect(await walked("a")).toEqual(["", "x", "y"]);
    expect(await walked("a/x")).toEqual([""]);
    await expect(walked("missing")).rejects.toMatchObject({ code: "SOURCE_NOT_FOUND" });
    expect((await reader.list(snapshot, path("a"))).map((entry) => entry.path.toString())).toEqual(["a/x", "a/y"]);
    await expect(reader.list(snapshot, path("a/x"))).rejects.toMatchObject({ code: "SOURCE_NOT_FOUND" });
    expect((await reader.find(snapshot, path("")))?.metadata.type).toBe("dir");
    expect(await reader.find(snapshot, path("a/x/y"))).toBeUndefined();
    expect(await reader.find(snapshot, path("a/z"))).toBeUndefined();
    const file = await reader.find(snapshot, path("a/x"));
    const pieces: Uint8Array[] = [];
    for await (const bytes of reader.read(file?.content ?? { sizeBytes: 0, blobIds: Buffer.alloc(0) }))
      pieces.push(bytes);
    expect(Buffer.concat(pieces).toString()).toBe("hello");
    expect(await repository.locks()).toHaveLength(1);
    await reader.close();
    expect(await repository.locks()).toEqual([]);
  });

  it("ends a walk that is cancelled", async () => {
    const stop = new AbortController();
    const reader = await repository.reader();
    const seen: string[] = [];
    const walk = async (): Promise<void> => {
      for await (const entry of reader.walk(snapshot, path(""), stop.signal)) {
        seen.push(entry.path.toString());
        stop.abort();
      }
    };
    await expect(walk()).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect(seen).toEqual([""]);
    await reader.close();
  });

  it("forgets a snapshot once and for all, also while a writer is at work", async () => {
    const writer = await repository.writer();
    const other = await save(writer);
    await repository.forget(other.id);
    await repository.forget(other.id);
    await writer.close();
    expect((await repository.snapshots()).map(({ id }) => id)).toEqual([snapshot.id]);
    expect(await repository.locks()).toEqual([]);
  }, 30_000);

  it("verifies packs on the workers", async () => {
    const report = await repository.check({ readDataRatio: 1 });
    expect(report.findings).toEqual([]);
    expect(report.bytesRead).toBe((await repository.stats()).bytesStored);
    await expect(repository.check({ readDataRatio: 1, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "INTERRUPTED",
    });
    expect(await repository.locks()).toEqual([]);
  });

  it("is usable at once after a process was killed in the middle of writing to it", async () => {
    const source = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);
    const script = `
      const { LocalBackend } = await import(${source("../storage/index.ts")});
      const { openRepository } = await import(${source("./open.ts")});
      const { randomBytes } = await import("node:crypto");
      const repository = await openRepository(new LocalBackend(${JSON.stringify(folder)}), { password: ${JSON.stringify(password)}, workers: 1 });
      const writer = await repository.writer();
      const endless = async function* () { for (;;) { yield randomBytes(1 << 20); process.stdout.write("."); } };
      await writer.storeStream(endless());`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    let seen = 0;
    for await (const dots of child.stdout as AsyncIterable<Buffer>) {
      seen += dots.length;
      if (seen > 40) child.kill("SIGKILL");
    }
    await exited;
    expect(await repository.locks()).toMatchObject([{ pid: child.pid, stale: true }]);
    expect(await repository.unlock()).toBe(1);
    const report = await repository.check({ readDataRatio: 1 });
    expect(report.findings.every(({ severity }) => severity === "hint")).toBe(true);
    expect(report.snapshots).toBe(1);
    const writer = await repository.writer();
    const next = await save(writer);
    await writer.close();
    await repository.forget(next.id);
  }, 60_000);
});
