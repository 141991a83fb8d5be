import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FileHandle } from "../backend.ts";
import { describeBackend } from "../conformance/backend-conformance.ts";
import { LocalBackend } from "./local-backend.ts";
import { storageError } from "./local-errors.ts";

describeBackend("local", async () => {
  const root = await mkdtemp(join(tmpdir(), "holdfast-storage-"));
  return {
    backend: new LocalBackend(join(root, "repository")),
    reopen: async () => new LocalBackend(join(root, "repository")),
    dispose: () => rm(root, { recursive: true }),
  };
});

describe("local backend on disk", () => {
  let root: string;
  let backend: LocalBackend;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "holdfast-storage-"));
    backend = new LocalBackend(root);
    await backend.create();
  });
  afterEach(() => rm(root, { recursive: true }));

  const handleOf = (bytes: Uint8Array): FileHandle => ({
    type: "data",
    name: createHash("sha256").update(bytes).digest("hex"),
  });

  it("lays files out as restic does: folders 0700, files 0400, data in 256 folders", async () => {
    const bytes = randomBytes(100);
    const handle = handleOf(bytes);
    await backend.save(handle, bytes);
    const path = join(root, "data", handle.name.slice(0, 2), handle.name);
    expect((await stat(path)).mode & 0o7777).toBe(0o400);
    expect((await stat(join(root, "data"))).mode & 0o7777).toBe(0o700);
    expect(await readdir(join(root, "data"))).toHaveLength(256);
    expect((await readdir(root)).sort()).toEqual(["data", "index", "keys", "locks", "snapshots"]);
  });

  it("never lists temporaries and foreign files", async () => {
    const name = "ab".repeat(32);
    await writeFile(join(root, "data", "ab", `${name}-tmp-123`), "half");
    await writeFile(join(root, "data", "ab", "notes.txt"), "x");
    await mkdir(join(root, "data", "lost+found"));
    const names: string[] = [];
    for await (const info of backend.list("data")) names.push(info.name);
    expect(names).toEqual([]);
  });

  it("leaves no temporary behind when saving fails", async () => {
    const bytes = Buffer.from("twice");
    const handle = handleOf(bytes);
    await backend.save(handle, bytes);
    await expect(backend.save(handle, bytes)).rejects.toMatchObject({ code: "STORAGE_EXISTS" });
    expect(await readdir(join(root, "data", handle.name.slice(0, 2)))).toEqual([handle.name]);
  });

  it("does not follow a link that stands where the file would be written", async () => {
    const bytes = Buffer.from("payload");
    const handle = handleOf(bytes);
    const outside = join(root, "outside");
    await symlink(outside, join(root, "data", handle.name.slice(0, 2), handle.name));
    await expect(backend.save(handle, bytes)).rejects.toMatchObject({ code: "STORAGE_EXISTS" });
    await expect(stat(outside)).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("makes a missing data folder again", async () => {
    const bytes = Buffer.from("sparse copy");
    const handle = handleOf(bytes);
    await rm(join(root, "data", handle.name.slice(0, 2)), { recursive: true });
    await backend.save(handle, bytes);
    expect((await backend.load(handle)).equals(bytes)).toBe(true);
  });

  it("does not conjure up a repository where its folder is gone, such as a disk that is not mounted", async () => {
    await rm(root, { recursive: true });
    await expect(backend.save(handleOf(Buffer.of(1)), Buffer.of(1))).rejects.toMatchObject({
      code: "STORAGE_NOT_FOUND",
    });
    await mkdir(root);
  });

  it("gives system errors the codes of a backend and a remedy where there is one", () => {
    const failed = (code: string): unknown =>
      storageError(Object.assign(new Error(code), { code }), "saving", "local:/x");
    expect(failed("ENOSPC")).toMatchObject({ code: "STORAGE_FULL", remedy: expect.stringContaining("room") });
    expect(failed("EDQUOT")).toMatchObject({ code: "STORAGE_FULL" });
    expect(failed("EACCES")).toMatchObject({ code: "STORAGE_DENIED", remedy: expect.stringContaining("owns") });
    expect(failed("EROFS")).toMatchObject({ code: "STORAGE_DENIED" });
    expect(failed("EIO")).toMatchObject({ code: "STORAGE_TRANSIENT" });
    const defect = new TypeError("not the system's");
    expect(storageError(defect, "saving", "local:/x")).toBe(defect);
  });

  it("shows whole files only, when a process is killed while it saves", async () => {
    const module = new URL("local-backend.ts", import.meta.url).href;
    const script = `
      import { createHash, randomBytes } from "node:crypto";
      const { LocalBackend } = await import(${JSON.stringify(module)});
      const backend = new LocalBackend(${JSON.stringify(root)});
      for (;;) {
        const bytes = randomBytes(2_000_000);
        await backend.save({ type: "data", name: createHash("sha256").update(bytes).digest("hex") }, bytes);
        process.stdout.write(".");
      }`;
    for (let round = 0; round < 4; round += 1) {
      const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const exited = once(child, "exit");
      let saved = 0;
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
        saved += chunk.length;
        if (saved > round + 1) child.kill("SIGKILL");
      }
      await exited;
    }
    let files = 0;
    for await (const info of backend.list("data")) {
      const bytes = await backend.load({ type: "data", name: info.name });
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(info.name);
      files += 1;
    }
    expect(files).toBeGreaterThan(8);
  });
});
