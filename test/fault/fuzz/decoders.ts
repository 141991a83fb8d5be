import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { OperationId } from "../../../src/base/index.ts";
import { encodeManifest, decodeManifest } from "../../../src/engine/manifest.ts";
import { OperationFolder } from "../../../src/engine/journal.ts";
import { decodeConfig, encodeConfig, newConfig } from "../../../src/repository/config-file.ts";
import { createKeyFile, generateMasterKey, openKeyFile } from "../../../src/repository/crypto/key-file.ts";
import { decodeUnpacked, encodeUnpacked } from "../../../src/repository/crypto/unpacked.ts";
import { decodeIndex, encodeIndex } from "../../../src/repository/index/index-file.ts";
import { decodeLock, encodeOwnLock } from "../../../src/repository/lock/lock-file.ts";
import { decodePackHeader, encodePackHeader, type PackBlob } from "../../../src/repository/pack/pack-format.ts";
import { decodeSnapshot, encodeSnapshot } from "../../../src/repository/snapshot/snapshot-format.ts";
import { decodeTree } from "../../../src/repository/tree/decode-tree.ts";
import { encodeTree } from "../../../src/repository/tree/tree-format.ts";
import { canonicalRdb, emptyRdbContents } from "../../../src/services/redis/rdb-canonical.ts";
import { RespParser } from "../../../src/services/redis/resp-parser.ts";
import { children, manifest } from "./valid-documents.ts";

/** Something that reads bytes which somebody else may have written. */
export interface Decoder {
  readonly name: string;
  readonly valid: readonly Buffer[];
  readonly json: boolean;
  readonly decode: (bytes: Buffer) => unknown;
  /** What it may throw besides HoldfastError. */
  readonly mayThrow?: (error: unknown) => boolean;
}

const id = "ab".repeat(32);
const blobs: PackBlob[] = [
  { type: "data", id: Buffer.alloc(32, 1), offset: 0, length: 100, uncompressedLength: 0 },
  { type: "tree", id: Buffer.alloc(32, 2), offset: 100, length: 50, uncompressedLength: 70 },
];
const at = new Date("2026-01-02T03:04:05Z");
const cheap = { N: 2, r: 1, p: 1 };
const lease = { since: at, leaseMs: 60_000, work: "prune", machine: "m", startTicks: 5 } as const;
const master = generateMasterKey();
const password = "p";

const snapshot = encodeSnapshot({
  time: at,
  tree: id,
  parent: id,
  paths: ["/a", "/ü"],
  hostname: "h",
  tags: ["x"],
  username: "u",
  uid: 5,
  gid: 6,
  programVersion: "holdfast 1",
});

const lzf = Buffer.from([0xc3, 0x06, 0x0b, 0x01, 0x61, 0x61, 0xe0, 0x00, 0x00]);
const rdb = Buffer.concat([
  Buffer.from("REDIS0011\xfa\x09redis-ver\x057.2.0\xfe\x00\xfb\x03\x01", "latin1"),
  Buffer.from("\x00\x01a\x01x\xfc\0\0\0\0\0\0\0\0\x00\x01b\xc1\x10\x20\x02\x01c\x02\x01z\x01y", "latin1"),
  Buffer.from([0x00, 0x01, 0x64]),
  lzf,
  Buffer.from("\x04\x01h\x01\x01f\x01v\x05\x01q\x01\x01m\0\0\0\0\0\0\xf0\x3f", "latin1"),
  Buffer.from([0xff]),
  Buffer.alloc(8),
]);

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function drain(bytes: Buffer): Promise<number> {
  const contents = emptyRdbContents();
  const options = { directory: folder, contents, signal: new AbortController().signal };
  let size = 0;
  for await (const chunk of canonicalRdb(once(bytes), options)) size += chunk.length;
  return size;
}

const folder = mkdtempSync(path.join(tmpdir(), "holdfast-fuzz-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

function readJournal(bytes: Buffer): unknown {
  mkdirSync(path.join(folder, "operations/one"), { recursive: true });
  writeFileSync(path.join(folder, "operations/one/journal.ndjson"), bytes);
  return OperationFolder.at(folder, "one" as OperationId).records();
}

const begin = { step: "begin", operation: "o", kind: "restore", project: "p", environment: "e", backup: "b" };
const journal = Buffer.from(
  `${JSON.stringify({ ...begin, components: [{ source: "s" }], at: "now" })}\n{"step":"stage"}\n{"step":"snapshot","snapshot":"x"}\n`,
);

/** Small exponents only: the cost of scrypt is what it is for, and bounded by the decoder. */
async function openKey(bytes: Buffer): Promise<unknown> {
  return await openKeyFile(bytes, password, "key");
}

export const decoders: readonly Decoder[] = [
  { name: "tree", json: true, valid: [encodeTree(children)], decode: (bytes) => decodeTree(bytes, "tree") },
  {
    name: "index",
    json: true,
    valid: [Buffer.from(encodeIndex([{ id, blobs }]))],
    decode: (bytes) => decodeIndex(bytes, "index"),
  },
  { name: "snapshot", json: true, valid: [Buffer.from(snapshot)], decode: (bytes) => decodeSnapshot(bytes, id) },
  {
    name: "lock",
    json: true,
    valid: [Buffer.from(encodeOwnLock(at, true, lease))],
    decode: (bytes) => decodeLock(bytes, id),
  },
  { name: "config", json: true, valid: [encodeConfig(newConfig())], decode: (bytes) => decodeConfig(bytes) },
  { name: "key file", json: true, valid: [await createKeyFile(master, password, at, cheap)], decode: openKey },
  {
    name: "manifest",
    json: true,
    valid: [encodeManifest(manifest, "production", manifest.backup.commitId)],
    decode: (bytes) => decodeManifest(bytes, id),
  },
  {
    name: "pack header",
    json: false,
    valid: [encodePackHeader(blobs)],
    decode: (bytes) => decodePackHeader(bytes, 150, "pack"),
  },
  {
    name: "compressed file",
    json: false,
    valid: [encodeUnpacked(snapshot), encodeUnpacked(randomBytes(500).toString("hex"))],
    decode: (bytes) => decodeUnpacked(bytes, "file"),
  },
  { name: "RDB file", json: false, valid: [rdb], decode: drain },
  {
    name: "Redis' replies",
    json: false,
    valid: [Buffer.from("+OK\r\n:42\r\n$5\r\nhe\r\no\r\n*3\r\n$-1\r\n*1\r\n-ERR x\r\n$0\r\n\r\n+END\r\n")],
    decode: (bytes) => new RespParser().push(bytes),
    // The connection turns it into SERVICE_UNREACHABLE.
    mayThrow: (error) => error instanceof SyntaxError,
  },
  { name: "journal", json: false, valid: [journal], decode: readJournal },
];
