import { createHash } from "node:crypto";
import { type EntryMetadata, type EntryPath, entryTypes } from "../component/index.ts";
import { splitLastName } from "./directory-chain.ts";
import type { TreeRecord } from "./tree-record.ts";

const pendingBytes = 8192;
const fixedBytes = 32;

/** Hashes entries: name or path, type, mode, owners, modification time, size, link target. */
export class DirectoryDigest {
  readonly #hash = createHash("sha256");
  /** What is to be hashed next, of many entries together: each call costs as much as some hundred bytes. */
  #pending: Buffer | undefined;
  #length = 0;

  add(name: Uint8Array, metadata: EntryMetadata, sizeBytes: number): void {
    const { type, mode, uid, gid, mtimeNs, linkTarget } = metadata;
    const length = name.length + fixedBytes + (linkTarget?.length ?? 0);
    if (this.#pending === undefined || this.#length + length > this.#pending.length) {
      this.#flush();
      if (this.#pending === undefined || length > this.#pending.length) {
        this.#pending = Buffer.allocUnsafe(Math.max(pendingBytes, length));
      }
    }
    const bytes = this.#pending;
    bytes.set(name, this.#length);
    const at = this.#length + name.length;
    // No name holds a zero byte, so that this ends it.
    bytes.writeUInt8(0, at);
    bytes.writeUInt8(entryTypes.indexOf(type), at + 1);
    bytes.writeUInt16LE(mode, at + 2);
    bytes.writeUInt32LE(uid, at + 4);
    bytes.writeUInt32LE(gid, at + 8);
    bytes.writeBigInt64LE(mtimeNs, at + 12);
    bytes.writeDoubleLE(sizeBytes, at + 20);
    bytes.writeUInt32LE(linkTarget?.length ?? 0, at + 28);
    if (linkTarget !== undefined) bytes.set(linkTarget, at + fixedBytes);
    this.#length += length;
  }

  addBytes(bytes: Uint8Array): void {
    this.#flush();
    this.#hash.update(bytes);
  }

  finish(): Buffer {
    this.#flush();
    return this.#hash.digest();
  }

  #flush(): void {
    if (this.#pending !== undefined) this.#hash.update(this.#pending.subarray(0, this.#length));
    this.#length = 0;
  }
}

interface OpenDirectory {
  readonly path: EntryPath;
  readonly digest: DirectoryDigest | Uint8Array;
}

/**
 * The fingerprint of a whole tree: of each directory itself, and, when it has come to its end, the digest of what is in
 * it but for directories.
 */
export class TreeFingerprint {
  readonly #tree = new DirectoryDigest();
  readonly #open: OpenDirectory[] = [];

  /** Takes records in the order of their paths. What a directory's base stands for is in the base's digest. */
  add({ path, metadata, sizeBytes, base }: TreeRecord): void {
    const { parent, name } = splitLastName(path);
    while (this.#open.length > 1 && this.#open.at(-1)?.path.equals(parent) !== true) this.#close();
    if (metadata.type === "dir") {
      this.#tree.add(path, metadata, 0);
      this.#open.push({ path, digest: base?.digest ?? new DirectoryDigest() });
      return;
    }
    const digest = this.#open.at(-1)?.digest;
    if (digest instanceof DirectoryDigest) digest.add(name, metadata, sizeBytes);
  }

  finish(): string {
    while (this.#open.length > 0) this.#close();
    return this.#tree.finish().toString("hex");
  }

  #close(): void {
    const digest = this.#open.pop()?.digest;
    if (digest !== undefined) this.#tree.addBytes(digest instanceof DirectoryDigest ? digest.finish() : digest);
  }
}
