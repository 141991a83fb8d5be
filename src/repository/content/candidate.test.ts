import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { FileStamp, StoredContent } from "../../component/index.ts";
import { FaultyBackend, MemoryBackend } from "../../storage/index.ts";
import { WorkerPool } from "../workers/worker-pool.ts";
import { BareRepository, noise, temporaryFolder } from "../writer/conformance/bare-repository.ts";
import { mixedContent, storeContents } from "./conformance/stored-contents.ts";

const pool = new WorkerPool({ threads: 2 });
afterAll(() => pool.close());

describe("a candidate", () => {
  const original = mixedContent(20);
  const middle = original.length >> 1;
  const changed = Buffer.from(original);
  changed[middle] = (changed[middle] ?? 0) ^ 0xff;
  const inserted = Buffer.concat([Buffer.from("new"), original]);

  test.each<[string, (path: string) => void, (reusedBytes: number) => void]>([
    [
      "that is equal is used whole",
      (path) => writeFileSync(path, original),
      (reused) => expect(reused).toBe(original.length),
    ],
    [
      "that differs in the middle is used but for that piece",
      (path) => writeFileSync(path, changed),
      (reused) => {
        expect(reused).toBeGreaterThan(original.length / 3);
        expect(reused).toBeLessThan(original.length);
      },
    ],
    [
      "that was cut off is used as far as it goes",
      (path) => writeFileSync(path, original.subarray(0, middle)),
      (reused) => {
        expect(reused).toBeGreaterThan(0);
        expect(reused).toBeLessThanOrEqual(middle);
      },
    ],
    [
      "that has grown is used",
      (path) => writeFileSync(path, Buffer.concat([original, noise(100_000, 3)])),
      (reused) => expect(reused).toBe(original.length),
    ],
    [
      "that is shifted is no use",
      (path) => writeFileSync(path, inserted),
      (reused) => expect(reused).toBeLessThan(original.length / 2),
    ],
    ["that is missing is no use", () => undefined, (reused) => expect(reused).toBe(0)],
    ["that is a directory is no use", (path) => mkdirSync(path), (reused) => expect(reused).toBe(0)],
    ["that is a pipe is no use", (path) => void execFileSync("mkfifo", [path]), (reused) => expect(reused).toBe(0)],
    [
      "that is a link is not followed",
      (path) => {
        writeFileSync(`${path}.real`, original);
        symlinkSync(`${path}.real`, path);
      },
      (reused) => expect(reused).toBe(0),
    ],
  ])("%s", async (_, prepare, expectReused) => {
    await using folder = await temporaryFolder();
    const repository = new BareRepository(new MemoryBackend(), pool);
    const [content] = (await storeContents(repository, [original])) as [StoredContent];
    const candidate = join(folder.path, "candidate");
    prepare(candidate);
    if (existsSync(candidate) && lstatSync(candidate).isFile()) chmodSync(candidate, 0o644);
    const reader = await repository.reader();
    const out = join(folder.path, "out");
    const [result] = await reader.writeFiles([{ path: Buffer.from(out), content, candidate: Buffer.from(candidate) }]);
    await reader.close();
    expect(result?.status).toBe("written");
    expectReused(result?.status === "written" ? result.reusedBytes : -1);
    expect(readFileSync(out).equals(original)).toBe(true);
    expect(statSync(out).mode & 0o7777).toBe(0o600);
  });

  test("saves reading the repository", async () => {
    await using folder = await temporaryFolder();
    const memory = new MemoryBackend();
    const [content] = (await storeContents(new BareRepository(memory, pool), [original])) as [StoredContent];
    let loads = 0;
    const counting = new FaultyBackend(memory, {
      before: (operation, handle) => {
        if (operation === "load" && handle?.type === "data") loads += 1;
      },
    });
    const reader = await new BareRepository(counting, pool).reader();
    writeFileSync(join(folder.path, "candidate"), original);
    const candidate = Buffer.from(join(folder.path, "candidate"));
    await reader.writeFiles([{ path: Buffer.from(join(folder.path, "a")), content, candidate }]);
    expect(loads).toBe(0);
    const empty = { sizeBytes: 0, blobIds: new Uint8Array(0) };
    await reader.writeFiles([{ path: Buffer.from(join(folder.path, "b")), content: empty, candidate }]);
    expect(statSync(join(folder.path, "b")).size).toBe(0);
    await reader.close();
  });
});

describe("a candidate that may be linked", () => {
  const original = mixedContent(21);
  const time = 1_600_000_000.5;
  const stampOf = (path: string): FileStamp => {
    const { size, mtimeNs, ctimeNs, ino } = lstatSync(path, { bigint: true });
    return { sizeBytes: Number(size), mtimeNs, ctimeNs, inode: ino };
  };
  const never = { sizeBytes: original.length, mtimeNs: 0n, ctimeNs: 0n, inode: 0n };

  test.each<[string, boolean, (path: string) => FileStamp]>([
    ["is, where its bytes are the same", true, () => never],
    [
      "is, unread, where its stamp says that it is the same",
      true,
      (path) => {
        const changed = Buffer.from(original);
        changed[5] = (changed[5] ?? 0) ^ 1;
        writeFileSync(path, changed);
        utimesSync(path, time, time);
        return stampOf(path);
      },
    ],
    [
      "is not, where its bytes differ",
      false,
      (path) => {
        const changed = Buffer.from(original);
        changed[5] = (changed[5] ?? 0) ^ 1;
        writeFileSync(path, changed);
        utimesSync(path, time, time);
        return never;
      },
    ],
    ["is not, where it has another mode", false, (path) => (chmodSync(path, 0o600), stampOf(path))],
    ["is not, where it has another time", false, (path) => (utimesSync(path, 1, 1), stampOf(path))],
    ["is not, where it has another name", false, (path) => (linkSync(path, `${path}.too`), stampOf(path))],
    [
      "is not, where it has attributes",
      false,
      (path) => {
        execFileSync("setfattr", ["-n", "user.origin", "-v", "shop", path]);
        return stampOf(path);
      },
    ],
    [
      "is not, where a link led to it",
      false,
      (path) => {
        const folder = dirname(path);
        renameSync(folder, `${folder}.real`);
        symlinkSync(`${folder}.real`, folder);
        return stampOf(path);
      },
    ],
  ])("%s", async (_, expected, prepare) => {
    await using folder = await temporaryFolder();
    const repository = new BareRepository(new MemoryBackend(), pool);
    const [content] = (await storeContents(repository, [original])) as [StoredContent];
    mkdirSync(join(folder.path, "live"));
    const candidate = join(folder.path, "live", "candidate");
    writeFileSync(candidate, original);
    chmodSync(candidate, 0o644);
    utimesSync(candidate, time, time);
    const { uid, gid, mtimeNs } = lstatSync(candidate, { bigint: true });
    const linkIfSame = prepare(candidate);
    const properties = { uid: Number(uid), gid: Number(gid), mode: 0o644, mtimeNs };
    const out = join(folder.path, "out");
    const reader = await repository.reader();
    const file = { path: Buffer.from(out), content, candidate: Buffer.from(candidate), properties, linkIfSame };
    const [result] = await reader.writeFiles([file]);
    await reader.close();
    expect(lstatSync(out).ino === lstatSync(candidate).ino).toBe(expected);
    const linked = result?.status === "written" ? result.linked : undefined;
    expect(linked).toEqual(expected ? stampOf(out) : undefined);
    if (!expected) expect(readFileSync(out).equals(original)).toBe(true);
  });
});
