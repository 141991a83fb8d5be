import type { EntryMetadata } from "../component/index.ts";

// The ustar header of POSIX.1-1988 and the extended (pax) header of POSIX.1-2001, "pax Interchange Format".

const blockBytes = 512;
const field = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkName: [157, 100],
  magic: [257, 8],
  user: [265, 32],
  group: [297, 32],
  deviceMajor: [329, 8],
  deviceMinor: [337, 8],
} as const satisfies Record<string, readonly [offset: number, length: number]>;

export type TarType = "file" | "link" | "symlink" | "chardev" | "dev" | "dir" | "fifo";

const typeFlags: Readonly<Record<TarType, string>> = {
  file: "0",
  link: "1",
  symlink: "2",
  chardev: "3",
  dev: "4",
  dir: "5",
  fifo: "6",
};

export interface TarMember {
  /** Raw bytes, without a leading slash. */
  readonly path: Buffer;
  readonly type: TarType;
  readonly metadata: EntryMetadata;
  /** Of what follows the header; 0 for anything but a file. */
  readonly sizeBytes: number;
  /** Target of a link: an earlier member's path, or a symlink's text. */
  readonly linkName?: Buffer;
}

/** The blocks that stand before a member's bytes. */
export function encodeTarHeader(member: TarMember): Buffer {
  const path = member.type === "dir" ? Buffer.concat([member.path, Buffer.from("/")]) : member.path;
  const { metadata } = member;
  const seconds = floorDivide(metadata.mtimeNs, 1_000_000_000n);
  const records: Buffer[] = [];
  const needs = (name: string, value: string | Uint8Array): void => void records.push(paxRecord(name, value));

  if (path.length > field.name[1]) needs("path", path);
  if (member.linkName !== undefined && member.linkName.length > field.linkName[1]) needs("linkpath", member.linkName);
  if (member.sizeBytes >= 0o100000000000) needs("size", String(member.sizeBytes));
  if (metadata.uid >= 0o10000000) needs("uid", String(metadata.uid));
  if (metadata.gid >= 0o10000000) needs("gid", String(metadata.gid));
  const fraction = metadata.mtimeNs - seconds * 1_000_000_000n;
  if (fraction !== 0n || seconds < 0n || seconds >= 0o100000000000n) needs("mtime", paxTime(metadata.mtimeNs));
  if ((metadata.user ?? "").length > 31) needs("uname", metadata.user ?? "");
  if ((metadata.group ?? "").length > 31) needs("gname", metadata.group ?? "");
  for (const { name, value } of metadata.xattrs ?? []) needs(`SCHILY.xattr.${name}`, value);

  const header = ustarHeader({ ...member, path }, seconds);
  if (records.length === 0) return header;
  const body = Buffer.concat(records);
  const extended = ustarHeader(
    {
      path: Buffer.from("./PaxHeaders/holdfast"),
      type: "file",
      sizeBytes: body.length,
      metadata: { ...metadata, mode: 0o600, uid: 0, gid: 0, mtimeNs: 0n },
    },
    0n,
    "x",
  );
  return Buffer.concat([extended, body, tarPadding(body.length), header]);
}

/** Zeros up to the next block. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((blockBytes - (sizeBytes % blockBytes)) % blockBytes);
}

/** The two empty blocks at an archive's end. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * blockBytes);

function ustarHeader(member: TarMember, seconds: bigint, flag = typeFlags[member.type]): Buffer {
  const { metadata } = member;
  const header = Buffer.alloc(blockBytes);
  const put = (name: keyof typeof field, value: Uint8Array): void => {
    const [offset, length] = field[name];
    header.set(value.subarray(0, length), offset);
  };
  const octal = (name: keyof typeof field, value: number | bigint): void => {
    const [offset, length] = field[name];
    const digits = value.toString(8).padStart(length - 1, "0");
    // What does not fit stands in the extended header.
    header.write(digits.length < length ? digits : "0".repeat(length - 1), offset, "latin1");
  };
  put("name", member.path);
  octal("mode", metadata.mode & 0o7777);
  octal("uid", metadata.uid);
  octal("gid", metadata.gid);
  octal("size", member.sizeBytes);
  octal("mtime", seconds < 0n ? 0n : seconds);
  put("type", Buffer.from(flag));
  if (member.linkName !== undefined) put("linkName", member.linkName);
  put("magic", Buffer.from("ustar\x0000"));
  put("user", Buffer.from(metadata.user ?? "").subarray(0, 31));
  put("group", Buffer.from(metadata.group ?? "").subarray(0, 31));
  const { major, minor } = deviceNumbers(metadata.device ?? 0n);
  octal("deviceMajor", major);
  octal("deviceMinor", minor);
  header.fill(" ", field.checksum[0], field.checksum[0] + field.checksum[1]);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, field.checksum[0], "latin1");
  return header;
}

/** "LENGTH NAME=VALUE\n", where LENGTH counts itself. */
function paxRecord(name: string, value: string | Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${name}=`), Buffer.from(value), Buffer.from("\n")]);
  let length = rest.length;
  while (length !== rest.length + String(length).length) length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** "1700000000.123456789"; before 1970 with a sign: "-0.5" is half a second before. */
function paxTime(ns: bigint): string {
  const absolute = ns < 0n ? -ns : ns;
  const fraction = (absolute % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  return `${ns < 0n ? "-" : ""}${absolute / 1_000_000_000n}${fraction === "" ? "" : `.${fraction}`}`;
}

const floorDivide = (value: bigint, divisor: bigint): bigint =>
  value / divisor - (value < 0n && value % divisor !== 0n ? 1n : 0n);

/** Linux's encoding of a device number (glibc, `gnu_dev_major`). */
function deviceNumbers(device: bigint): { major: bigint; minor: bigint } {
  return {
    major: ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n),
    minor: (device & 0xffn) | ((device >> 12n) & 0xffffff00n),
  };
}
