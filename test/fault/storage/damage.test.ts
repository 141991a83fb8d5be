import { beforeAll, describe, expect, it } from "vitest";
import { isHoldfastError } from "../../../src/base/index.ts";
import { openRepository } from "../../../src/repository/index.ts";
import { type Backend, type FileHandle, MemoryBackend } from "../../../src/storage/index.ts";
import { backUp, copyRepository, filesOf, handlesOf, makeRepository, password, readBack } from "./stored-backups.ts";
import type { Reported } from "./stored-backups.ts";

let original: Backend;
let reported: readonly Reported[];

beforeAll(async () => {
  original = new MemoryBackend();
  await makeRepository(original);
  const repository = await openRepository(original, { password, workers: 1 });
  reported = [await backUp(repository, filesOf(1)), await backUp(repository, filesOf(2))];
  // A lock that stays: its holder is this process.
  await repository.writer();
  await repository.close();
});

interface Seen {
  /** What check said, or why the repository could not be opened. */
  readonly found: string;
  /** Files that came back with other bytes than were stored. */
  readonly wrong: readonly string[];
  /** Backups of which something did not come back. */
  readonly lost: readonly string[];
  /** Backups that check named. */
  readonly named: ReadonlySet<string>;
}

async function look(backend: Backend): Promise<Seen> {
  let repository;
  try {
    repository = await openRepository(backend, { password, workers: 1 });
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    return { found: error.message, wrong: [], lost: [], named: new Set() };
  }
  const wrong: string[] = [];
  const lost: string[] = [];
  const found: string[] = [];
  const named = new Set<string>();
  try {
    const { findings } = await repository.check({ readDataRatio: 1 });
    for (const { severity, message, snapshots } of findings) {
      if (severity === "error") found.push(message);
      for (const id of snapshots ?? []) named.add(id);
    }
    for (const { snapshot, files } of reported) {
      try {
        for (const [path, bytes] of await readBack(repository, snapshot)) {
          if (files.get(path)?.equals(bytes) !== true) wrong.push(path);
        }
      } catch (error) {
        if (!isHoldfastError(error)) throw error;
        lost.push(snapshot.id);
      }
    }
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    found.push(error.message);
  } finally {
    await repository.close();
  }
  return { found: found.join("\n"), wrong, lost, named };
}

async function damage(handle: FileHandle, alter: (bytes: Buffer) => Buffer): Promise<Seen> {
  const backend = await copyRepository(original);
  const bytes = await backend.load(handle);
  await backend.remove(handle);
  await backend.save(handle, alter(bytes));
  return look(backend);
}

/** Somewhere in every part of a file: its start, its first blob, the middle, a pack's header and trailer, the end. */
const places = (size: number): number[] => [0, 17, 60, size >> 1, size - 40, size - 3].filter((at) => at < size);

describe.each(["config", "key", "data", "index", "snapshot", "lock"])("a %s file", (type) => {
  it("with a flipped bit or cut off is found by name, and nothing of it is taken for good data", async () => {
    const handles = (await handlesOf(original)).filter((handle) => handle.type === type);
    expect(handles.length).toBeGreaterThan(0);
    for (const handle of handles) {
      const size = (await original.load(handle)).length;
      const flips = places(size).map((at) => (bytes: Buffer) => {
        bytes[at] = (bytes[at] as number) ^ 4;
        return bytes;
      });
      const cuts = [1, size >> 1, size - 1].map((length) => (bytes: Buffer) => bytes.subarray(0, length));
      // There are many packs, and the flips in the middle reach a blob, the header and what follows it.
      const changes = type === "data" ? [...flips.slice(2, 4), ...cuts.slice(1, 2)] : [...flips, ...cuts];
      for (const change of changes) {
        const seen = await damage(handle, change);
        expect(seen.wrong).toEqual([]);
        expect(seen.found).toContain(handle.name);
        // Of an index or snapshot that is gone nobody can tell what was in it, but who misses it is known.
        if (type === "data") expect([...seen.named].toSorted()).toEqual(expect.arrayContaining([...seen.lost]));
      }
    }
  });
});
