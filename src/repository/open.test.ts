import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { HoldfastError } from "../base/index.ts";
import { type Backend, FaultyBackend, LocalBackend, MemoryBackend } from "../storage/index.ts";
import { decodeConfig, encodeConfig, newConfig } from "./config-file.ts";
import { addKey, findMasterKey } from "./crypto/key-list.ts";
import { openKeyFile } from "./crypto/key-file.ts";
import { createRepository, openRepository } from "./open.ts";
import { isIrreducible, randomPolynomial } from "./polynomial.ts";

const password = "pässword";

describe("a repository", () => {
  it("opens with its password and no other, and with a second key", async () => {
    const backend = new MemoryBackend();
    const id = await createRepository(backend, { password });
    const repository = await openRepository(backend, { password });
    expect(repository.id).toBe(id);
    expect(await repository.snapshots()).toEqual([]);
    await repository.close();
    await expect(openRepository(backend, { password: "other" })).rejects.toMatchObject({
      code: "REPOSITORY_PASSWORD_WRONG",
    });
    await addKey(backend, await findMasterKey(backend, password), "other");
    const again = await openRepository(backend, { password: "other" });
    expect(again.id).toBe(id);
    await again.close();
  });

  it("is not made where one is, or where its remains are", async () => {
    const backend = new MemoryBackend();
    await createRepository(backend, { password });
    await expect(createRepository(backend, { password })).rejects.toMatchObject({ code: "REPOSITORY_EXISTS" });
    await backend.remove({ type: "config", name: "config" });
    await expect(createRepository(backend, { password: "another" })).rejects.toMatchObject({
      code: "REPOSITORY_EXISTS",
    });
    await expect(createRepository(new MemoryBackend(), { password: "" })).rejects.toMatchObject({
      code: "INPUT_INVALID",
    });
  });

  it("goes on with the key that a killed call left", async () => {
    const backend = new MemoryBackend();
    await createRepository(backend, { password });
    await backend.remove({ type: "config", name: "config" });
    const id = await createRepository(backend, { password });
    const repository = await openRepository(backend, { password });
    expect(repository.id).toBe(id);
    await repository.close();
    let keys = 0;
    for await (const { name } of backend.list("key")) keys += name === "" ? 0 : 1;
    expect(keys).toBe(1);
  });

  it("opens for both of two that try at the same time with the same password", async () => {
    const backend = new MemoryBackend();
    const results = await Promise.allSettled([1, 2, 3].map(() => createRepository(backend, { password })));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const repository = await openRepository(backend, { password });
    await repository.close();
  });

  it("is made by one of two that try at the same time, and is theirs alone", async () => {
    const backend = new MemoryBackend();
    const results = await Promise.allSettled([
      createRepository(backend, { password: "one" }),
      createRepository(backend, { password: "two" }),
    ]);
    const made = results.flatMap((result, at) => (result.status === "fulfilled" ? [{ id: result.value, at }] : []));
    expect(made).toHaveLength(1);
    const repository = await openRepository(backend, { password: made[0]?.at === 0 ? "one" : "two" });
    expect(repository.id).toBe(made[0]?.id);
    await repository.close();
  });

  it("says what is wrong where there is none", async () => {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-open-"));
    for (const path of [folder, join(folder, "missing")]) {
      await expect(openRepository(new LocalBackend(path), { password })).rejects.toMatchObject({
        code: "REPOSITORY_MISSING",
      });
    }
    await rm(folder, { recursive: true });
  });

  it("closes the backend when it cannot be opened", async () => {
    let closed = 0;
    const backend: Backend = Object.assign(new FaultyBackend(new MemoryBackend(), {}), {
      close: async () => {
        closed += 1;
      },
    });
    await expect(openRepository(backend, { password })).rejects.toThrow(HoldfastError);
    expect(closed).toBe(1);
  });

  it("survives a disk that is full while it is made", async () => {
    const inner = new MemoryBackend();
    const full = new FaultyBackend(inner, {
      before: (operation, handle) => {
        if (operation === "save" && handle?.type === "config") throw new HoldfastError("STORAGE_FULL", "full");
      },
    });
    await expect(createRepository(full, { password })).rejects.toMatchObject({ code: "STORAGE_FULL" });
    await createRepository(inner, { password });
  });
});

describe("config and keys", () => {
  it("have the form that restic gives them", () => {
    const id = "ab".repeat(32);
    const json = encodeConfig({ id, chunkerPolynomial: 0x3da3358b4dc173n });
    expect(json.toString()).toBe(`{"version":2,"id":"${id}","chunker_polynomial":"3da3358b4dc173"}`);
    expect(decodeConfig(json)).toEqual({ id, chunkerPolynomial: 0x3da3358b4dc173n });
    expect(decodeConfig(encodeConfig(newConfig())).chunkerPolynomial >> 53n).toBe(1n);
  });

  it("of another version or with a reducible polynomial are refused", () => {
    const config = JSON.parse(encodeConfig(newConfig()).toString()) as Record<string, unknown>;
    const refused = (change: Record<string, unknown>): unknown => {
      try {
        return decodeConfig(Buffer.from(JSON.stringify({ ...config, ...change })));
      } catch (error) {
        return error;
      }
    };
    expect(refused({ version: 1 })).toMatchObject({ code: "REPOSITORY_UNSUPPORTED" });
    expect(refused({ version: 3 })).toMatchObject({ code: "REPOSITORY_UNSUPPORTED" });
    expect(refused({ chunker_polynomial: "20000000000002" })).toMatchObject({ code: "REPOSITORY_DAMAGED" });
    expect(refused({ chunker_polynomial: "xyz" })).toMatchObject({ code: "REPOSITORY_DAMAGED" });
    expect(refused({ id: "short" })).toMatchObject({ code: "REPOSITORY_DAMAGED" });
  });

  it("choose polynomials that have no factors", () => {
    expect(isIrreducible(0x3da3358b4dc173n)).toBe(true);
    expect(isIrreducible(0b111n)).toBe(true);
    expect(isIrreducible(0b101n)).toBe(false);
    expect(isIrreducible(0n)).toBe(false);
    expect(isIrreducible(1n)).toBe(false);
    for (let round = 0; round < 5; round += 1) expect(isIrreducible(randomPolynomial())).toBe(true);
  });

  it("do not let a key file exhaust the memory or be of another kind", async () => {
    const file = { kdf: "scrypt", N: 32_768, r: 8, p: 2, salt: Buffer.alloc(64).toString("base64"), data: "AAAA" };
    const open = (change: Record<string, unknown>): Promise<unknown> =>
      openKeyFile(Buffer.from(JSON.stringify({ ...file, ...change })), password, "key abc");
    for (const change of [{ N: 2 ** 30 }, { N: 3 }, { r: 2 ** 20 }, { p: 1000 }, { kdf: "argon2" }]) {
      await expect(open(change)).rejects.toMatchObject({ code: "REPOSITORY_UNSUPPORTED" });
    }
    for (const change of [{ N: "x" }, { salt: "???" }, { salt: "AAAA" }, { data: 5 }]) {
      await expect(open(change)).rejects.toMatchObject({ code: "REPOSITORY_DAMAGED" });
    }
  });
});
