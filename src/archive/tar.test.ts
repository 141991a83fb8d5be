import { execFile } from "node:child_process";
import { lstat, mkdtemp, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { generatedMetadata, MemoryContents, type StoredEntry } from "../component/index.ts";
import { tarArchive } from "./tar-archive.ts";

const run = promisify(execFile);
const at = new Date("2026-11-21T04:12:00Z");
const file = generatedMetadata("file", at);

async function* stream(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

async function* entriesOf(list: readonly StoredEntry[]): AsyncIterable<StoredEntry> {
  yield* list;
}

describe("the tar archive", () => {
  let folder: string;
  const contents = new MemoryContents();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-tar-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const stored = async (
    path: Buffer | string,
    bytes: string,
    more: Partial<typeof file> = {},
  ): Promise<StoredEntry> => ({
    path: Buffer.from(path),
    metadata: { ...file, ...more },
    content: await contents.storeStream(stream(Buffer.from(bytes))),
  });

  /** Packs the entries and unpacks them with the system's tar. */
  async function throughTar(
    list: readonly StoredEntry[],
  ): Promise<{ readonly out: string; readonly skipped: string[]; readonly members: number }> {
    const skipped: string[] = [];
    let members = 0;
    const chunks: Buffer[] = [];
    const archive = tarArchive([{ path: Buffer.from("mounts/app/media"), entries: entriesOf(list) }], contents, {
      signal: new AbortController().signal,
      onMember: () => void (members += 1),
      onSkipped: (path) => void skipped.push(path.toString()),
    });
    for await (const chunk of archive) chunks.push(chunk);
    await writeFile(join(folder, "a.tar"), Buffer.concat(chunks));
    await run("tar", ["--xattrs", "--xattrs-include=user.*", "-xpf", "a.tar"], { cwd: folder });
    return { out: join(folder, "mounts/app/media"), skipped, members };
  }

  test("keeps contents, modes, nanoseconds, links, long names and names that are no text", async () => {
    const deep = `${"d".repeat(90)}/${"e".repeat(90)}/${"ü".repeat(60)}`;
    const link = { links: 2, inode: 7n, deviceId: 1n };
    const raw = Buffer.from([0x7a, 0xff, 0xfe]);
    const { out, skipped, members } = await throughTar([
      { path: Buffer.alloc(0), metadata: { ...generatedMetadata("dir", at), mode: 0o2750 } },
      await stored("a", "one", { mode: 0o640, mtimeNs: 1_700_000_000_123_456_789n, ...link }),
      await stored("b", "one", { mode: 0o640, mtimeNs: 1_700_000_000_123_456_789n, ...link }),
      await stored("before-1970", "old", { mtimeNs: -1_500_000_000n }),
      await stored(deep, "deep"),
      { path: Buffer.from("link"), metadata: { ...file, type: "symlink", linkTarget: Buffer.from("x".repeat(150)) } },
      { path: Buffer.from("pipe"), metadata: { ...file, type: "fifo" } },
      { path: Buffer.from("socket"), metadata: { ...file, type: "socket" } },
      await stored(raw, "raw"),
    ]);
    expect(skipped).toEqual(["mounts/app/media/socket"]);
    expect(members).toBe(8);
    expect((await lstat(out)).mode & 0o7777).toBe(0o2750);
    const [a, b] = await Promise.all(["a", "b"].map((name) => lstat(join(out, name), { bigint: true })));
    expect(a?.mtimeNs).toBe(1_700_000_000_123_456_789n);
    expect(a?.ino).toBe(b?.ino);
    expect((await lstat(join(out, "before-1970"), { bigint: true })).mtimeNs).toBe(-1_500_000_000n);
    expect(await readFile(join(out, deep), "utf8")).toBe("deep");
    expect(await readlink(join(out, "link"))).toBe("x".repeat(150));
    expect((await lstat(join(out, "pipe"))).isFIFO()).toBe(true);
    expect(await readFile(Buffer.concat([Buffer.from(`${out}/`), raw]), "utf8")).toBe("raw");
  });

  test("keeps extended attributes", async () => {
    const { out } = await throughTar([
      await stored("a", "one", { xattrs: [{ name: "user.origin", value: Buffer.from("cam\n1=x") }] }),
    ]);
    const { stdout } = await run("getfattr", ["--only-values", "-n", "user.origin", join(out, "a")]);
    expect(stdout).toBe("cam\n1=x");
  });

  test("stores two names of one file apart where they were frozen with different bytes", async () => {
    const link = { links: 2, inode: 7n, deviceId: 1n };
    const { out } = await throughTar([await stored("a", "one", link), await stored("b", "two", link)]);
    expect(await readFile(join(out, "b"), "utf8")).toBe("two");
  });
});
