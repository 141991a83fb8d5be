import { createHash, randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Backend, FileHandle, FileType } from "../backend.ts";

export interface BackendUnderTest {
  /** An empty place; `create` has not been called. */
  readonly backend: Backend;
  /** The same place opened again. */
  readonly reopen: () => Promise<Backend>;
  readonly dispose: () => Promise<void>;
}

const types: readonly FileType[] = ["key", "data", "index", "snapshot", "lock"];
const named = (type: FileType, bytes: Uint8Array): FileHandle => ({
  type,
  name: createHash("sha256").update(bytes).digest("hex"),
});

async function namesOf(backend: Backend, type: FileType): Promise<string[]> {
  const names: string[] = [];
  for await (const info of backend.list(type)) names.push(info.name);
  return names.sort();
}

/** What every backend must do, whatever it stands on. */
export function describeBackend(name: string, make: () => Promise<BackendUnderTest>): void {
  describe(`backend ${name}`, () => {
    let place: BackendUnderTest;
    let backend: Backend;

    beforeEach(async () => {
      place = await make();
      backend = place.backend;
      await backend.create();
    });
    afterEach(async () => {
      await backend.close();
      await place.dispose();
    });

    it("gives back what was saved, whole and in ranges, for each type", async () => {
      for (const type of types) {
        for (const size of [0, 1, 4096, 300_001]) {
          const bytes = randomBytes(size);
          const handle = named(type, bytes);
          if (size === 0 && type !== "key") continue;
          await backend.save(handle, bytes);
          expect((await backend.load(handle)).equals(bytes)).toBe(true);
          expect(await backend.stat(handle)).toEqual({ name: handle.name, sizeBytes: size });
          if (size < 100) continue;
          expect((await backend.load(handle, { offset: 7, length: 80 })).equals(bytes.subarray(7, 87))).toBe(true);
          expect((await backend.load(handle, { offset: size - 5, length: 5 })).equals(bytes.subarray(-5))).toBe(true);
          expect((await backend.load(handle, { offset: size, length: 0 })).length).toBe(0);
        }
      }
    });

    it("keeps the config apart from everything else", async () => {
      const config: FileHandle = { type: "config", name: "config" };
      await expect(backend.load(config)).rejects.toMatchObject({ code: "STORAGE_NOT_FOUND" });
      await backend.save(config, Buffer.from("x"));
      expect((await backend.load(config)).toString()).toBe("x");
      await expect(backend.save(config, Buffer.from("y"))).rejects.toMatchObject({ code: "STORAGE_EXISTS" });
      expect((await backend.load(config)).toString()).toBe("x");
      for (const type of types) expect(await namesOf(backend, type)).toEqual([]);
    });

    it("refuses to write a file twice and leaves the first untouched", async () => {
      const handle = named("data", Buffer.from("first"));
      await backend.save(handle, Buffer.from("first"));
      await expect(backend.save(handle, Buffer.from("second"))).rejects.toMatchObject({ code: "STORAGE_EXISTS" });
      expect((await backend.load(handle)).toString()).toBe("first");
    });

    it("lets exactly one of many concurrent writers of a name win", async () => {
      const handle = named("lock", Buffer.from("contended"));
      const attempts = Array.from({ length: 8 }, (_, at) => backend.save(handle, Buffer.alloc(100, at)));
      const results = await Promise.allSettled(attempts);
      expect(results.filter((result) => result.status === "fulfilled")).toHaveLength(1);
      const winner = results.findIndex((result) => result.status === "fulfilled");
      expect((await backend.load(handle)).equals(Buffer.alloc(100, winner))).toBe(true);
      expect(await namesOf(backend, "lock")).toEqual([handle.name]);
    });

    it("answers STORAGE_RANGE beyond the end and STORAGE_NOT_FOUND for what is not there", async () => {
      const handle = named("index", Buffer.from("short"));
      await expect(backend.load(handle)).rejects.toMatchObject({ code: "STORAGE_NOT_FOUND" });
      await expect(backend.stat(handle)).rejects.toMatchObject({ code: "STORAGE_NOT_FOUND" });
      await backend.save(handle, Buffer.from("short"));
      await expect(backend.load(handle, { offset: 3, length: 3 })).rejects.toMatchObject({ code: "STORAGE_RANGE" });
      await expect(backend.load(handle, { offset: 6, length: 0 })).rejects.toMatchObject({ code: "STORAGE_RANGE" });
    });

    it("lists exactly the files of a type with their sizes, in a new instance too", async () => {
      const expected = new Map<string, number>();
      for (let at = 0; at < 70; at += 1) {
        const bytes = randomBytes(at + 1);
        const handle = named("data", bytes);
        expected.set(handle.name, bytes.length);
        await backend.save(handle, bytes);
      }
      await backend.save(named("index", Buffer.from("other")), Buffer.from("other"));
      const again = await place.reopen();
      const seen = new Map<string, number>();
      for await (const info of again.list("data")) seen.set(info.name, info.sizeBytes);
      expect(seen).toEqual(expected);
      await again.close();
    });

    it("removes files, and calls it no error if they are not there", async () => {
      const handle = named("snapshot", Buffer.from("gone"));
      await backend.save(handle, Buffer.from("gone"));
      await backend.remove(handle);
      await backend.remove(handle);
      await expect(backend.load(handle)).rejects.toMatchObject({ code: "STORAGE_NOT_FOUND" });
      expect(await namesOf(backend, "snapshot")).toEqual([]);
      await backend.save(handle, Buffer.from("gone"));
      expect((await backend.load(handle)).toString()).toBe("gone");
    });

    it("creates its folders again without touching what is there", async () => {
      const handle = named("key", Buffer.from("kept"));
      await backend.save(handle, Buffer.from("kept"));
      await backend.create();
      expect(await namesOf(backend, "key")).toEqual([handle.name]);
    });

    it("refuses names that lead elsewhere", async () => {
      for (const bad of ["../config", "", "ABC", "a".repeat(63), "A".repeat(64)]) {
        await expect(backend.save({ type: "data", name: bad }, Buffer.of(1))).rejects.toThrow(TypeError);
        await expect(backend.load({ type: "data", name: bad })).rejects.toThrow(TypeError);
        await expect(backend.remove({ type: "data", name: bad })).rejects.toThrow(TypeError);
      }
    });

    it("takes the bytes as they were when save was called and hands out copies", async () => {
      const bytes = Buffer.from("original");
      const handle = named("data", bytes);
      await backend.save(handle, bytes);
      bytes.fill(0);
      (await backend.load(handle)).fill(0);
      expect((await backend.load(handle)).toString()).toBe("original");
    });
  });
}
