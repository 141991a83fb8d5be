import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { lstat, mkdir, open, readFile, readdir, readlink, link, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  compareEntryPaths,
  type Entry,
  type EntryMetadata,
  type EntryType,
  type ExtendedAttribute,
  joinEntryPath,
} from "../../src/component/index.ts";

const run = (command: string, ...args: string[]): string => execFileSync(command, args, { encoding: "utf8" });
export const isRoot = process.getuid?.() === 0;

/** Names that went wrong in some backup program at some time. */
export const oddNames: readonly Buffer[] = [
  "back\\slash",
  'double"quote',
  "single'quote",
  "new\nline",
  "tab\tand\x01control\x7f",
  "<angle>&ampersand",
  " leading and trailing ",
  "-dash",
  "*?[glob]",
  "Zoë \u{1f600} 日本",
  "no-break\u00a0space and soft\u00adhyphen",
  "line\u2028separator",
  "replacement\ufffdcharacter",
  "private\ue000use",
].map((name) => Buffer.from(name));
const invalidNames = [
  Buffer.from([0xff, 0xfe, 0x61]),
  Buffer.from([0x62, 0xe2, 0x82]),
  Buffer.from([0xed, 0xa0, 0x80]),
];

/** Makes one of everything that a file system can hold below `root`. */
export async function makeTree(root: string): Promise<void> {
  await mkdir(join(root, "names"), { recursive: true });
  await mkdir(join(root, "a"));
  await writeFile(join(root, "a", "x"), "in a");
  await writeFile(join(root, "a.txt"), "sorts after a/x");
  await writeFile(join(root, "empty"), "");
  await mkdir(join(root, "empty-directory"), { mode: 0o750 });
  await writeFile(join(root, "large"), randomBytes(9_000_000));
  await makeSparse(join(root, "sparse"), 6_000_000);
  for (const name of [...oddNames, ...invalidNames]) {
    await writeFile(joinEntryPath(Buffer.from(join(root, "names")), name), name);
  }
  await link(join(root, "a", "x"), join(root, "hard-link-to-x"));
  await symlink("../elsewhere/<&>", join(root, "link"));
  run("mkfifo", "-m", "0640", join(root, "fifo"));
  await writeFile(join(root, "setuid"), "s", { mode: 0o700 });
  run("chmod", "6755", join(root, "setuid"));
  await mkdir(join(root, "sticky"));
  run("chmod", "1777", join(root, "sticky"));
  run("setfattr", "-n", "user.origin", "-v", "shop \u{1f600}", join(root, "a.txt"));
  run("setfattr", "-n", "user.empty", "-v", "", join(root, "a.txt"));
  run("setfattr", "-n", "user.binary", "-v", "0x00ff1027", join(root, "a"));
  run("setfacl", "-m", "u:daemon:rw,g:daemon:r", join(root, "a", "x"));
  run("setfacl", "-d", "-m", "u:daemon:rwx", join(root, "sticky"));
  if (isRoot) {
    run("mknod", join(root, "block-device"), "b", "7", "200");
    run("mknod", join(root, "char-device"), "c", "1", "3");
    await writeFile(join(root, "owned"), "by others");
    run("chown", "12345:23456", join(root, "owned"));
    run("chown", "-h", "33:34", join(root, "link"));
  }
  run("touch", "-h", "-d", "1969-12-31T23:59:58.000000001Z", join(root, "link"));
  run("touch", "-d", "2001-02-03T04:05:06.123456789Z", join(root, "a.txt"));
  run("touch", "-d", "2038-01-20T00:00:00.100000000Z", join(root, "empty"));
  run("touch", "-d", "2020-02-29T12:00:00Z", join(root, "a"));
}

async function makeSparse(path: string, sizeBytes: number): Promise<void> {
  await using file = await open(path, "w");
  await file.truncate(sizeBytes);
  await file.write("island", sizeBytes / 2);
}

/** Everything below `root` as entries, by this test's own reading. */
export async function* entriesOf(root: string): AsyncGenerator<Entry> {
  for (const path of await pathsOf(Buffer.from(root))) {
    const absolute = path.length === 0 ? Buffer.from(root) : joinEntryPath(Buffer.from(root), path);
    const metadata = await metadataOf(absolute);
    yield metadata.type === "file" ? { path, metadata, content: { kind: "file", path: absolute } } : { path, metadata };
  }
}

/** Paths below `root`, root first, in the order of entries. */
export async function pathsOf(root: Buffer): Promise<Buffer[]> {
  const paths: Buffer[] = [Buffer.alloc(0)];
  const visit = async (directory: Buffer, path: Buffer): Promise<void> => {
    for (const entry of await readdir(directory, { encoding: "buffer", withFileTypes: true })) {
      const below = joinEntryPath(path, entry.name);
      paths.push(below);
      if (entry.isDirectory()) await visit(joinEntryPath(directory, entry.name), below);
    }
  };
  await visit(root, Buffer.alloc(0));
  return paths.sort(compareEntryPaths);
}

export async function metadataOf(path: Buffer): Promise<EntryMetadata> {
  const stat = await lstat(path, { bigint: true });
  const types: Readonly<Record<string, EntryType>> = {
    "8": "file",
    "4": "dir",
    "10": "symlink",
    "6": "dev",
    "2": "chardev",
    "1": "fifo",
    "12": "socket",
  };
  const type = types[String(Number(stat.mode) >>> 12)] ?? "file";
  const xattrs = xattrsOf(path);
  return {
    type,
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtimeNs: stat.mtimeNs,
    ctimeNs: stat.ctimeNs,
    inode: stat.ino,
    deviceId: stat.dev,
    links: Number(stat.nlink),
    ...(type === "symlink" ? { linkTarget: await readlink(path, { encoding: "buffer" }) } : {}),
    ...(type === "dev" || type === "chardev" ? { device: stat.rdev } : {}),
    ...(xattrs.length === 0 ? {} : { xattrs }),
  };
}

/** Attributes in the order in which the kernel lists them. The paths that have some are plain ASCII. */
function xattrsOf(path: Buffer): ExtendedAttribute[] {
  if (!/^[\w/.-]+$/.test(path.toString("latin1"))) return [];
  const text = run("getfattr", "-h", "-d", "-m", "-", "-e", "hex", "--absolute-names", path.toString());
  const attributes: ExtendedAttribute[] = [];
  for (const match of text.matchAll(/^([^#\n][^=\n]*)(?:=0x([0-9a-f]*))?$/gm)) {
    attributes.push({ name: match[1] ?? "", value: Buffer.from(match[2] ?? "", "hex") });
  }
  return attributes;
}

/** A tree in text, a line for each entry: equal for two trees that are equal in everything a backup keeps. */
export async function describeTree(root: string): Promise<string[]> {
  const lines: string[] = [];
  const firstOf = new Map<string, string>();
  for (const path of await pathsOf(Buffer.from(root))) {
    if (path.length === 0) continue;
    const absolute = joinEntryPath(Buffer.from(root), path);
    const metadata = await metadataOf(absolute);
    const { type, mode, uid, gid, mtimeNs, links, inode, linkTarget, device, xattrs } = metadata;
    const name = path.toString("latin1");
    const first = type === "file" && links > 1 ? (firstOf.get(String(inode)) ?? name) : name;
    firstOf.set(String(inode), first);
    const attributes = (xattrs ?? [])
      .map((attribute) => `${attribute.name}=${Buffer.from(attribute.value).toString("hex")}`)
      .sort();
    const content = type === "file" ? hashOf(await readFile(absolute)) : "";
    lines.push(
      JSON.stringify([
        name,
        type,
        mode.toString(8),
        uid,
        gid,
        String(mtimeNs),
        first,
        Buffer.from(linkTarget ?? []).toString("latin1"),
        String(device ?? 0n),
        attributes,
        content,
      ]),
    );
  }
  return lines;
}

const hashOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
