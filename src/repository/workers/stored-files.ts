import type { StoredFile } from "./protocol.ts";

const statuses = ["stored", "changing", "failed"] as const;
const fixedBytes = 45;

/**
 * What a worker found of many files, as one piece of memory: as objects, a message of them costs as much as the files
 * themselves. A byte for the status, then either the size read, the stamp's size, times and inode (8 bytes each), the
 * number of blobs (4) and their ids; or the length (4) of a JSON text and that. Little-endian.
 */
export function encodeStoredFiles(files: readonly StoredFile[]): Uint8Array<ArrayBuffer> {
  const failures = new Map<StoredFile, Buffer>();
  let length = 0;
  for (const file of files) {
    if (file.status === "failed") {
      const text = Buffer.from(JSON.stringify([file.code, file.message]));
      failures.set(file, text);
      length += 5 + text.length;
    } else length += fixedBytes + file.blobIds.length;
  }
  const memory = new ArrayBuffer(length);
  const bytes = Buffer.from(memory);
  let at = 0;
  for (const file of files) {
    bytes.writeUInt8(statuses.indexOf(file.status), at);
    if (file.status === "failed") {
      const text = failures.get(file) as Buffer;
      bytes.writeUInt32LE(text.length, at + 1);
      bytes.set(text, at + 5);
      at += 5 + text.length;
      continue;
    }
    const { sizeBytes, blobIds, stamp } = file;
    bytes.writeDoubleLE(sizeBytes, at + 1);
    bytes.writeDoubleLE(stamp.sizeBytes, at + 9);
    bytes.writeBigInt64LE(stamp.mtimeNs, at + 17);
    bytes.writeBigInt64LE(stamp.ctimeNs, at + 25);
    bytes.writeBigUInt64LE(stamp.inode, at + 33);
    bytes.writeUInt32LE(blobIds.length / 32, at + 41);
    bytes.set(blobIds, at + fixedBytes);
    at += fixedBytes + blobIds.length;
  }
  return new Uint8Array(memory);
}

/** The files again. Their ids are views of `encoded`. */
export function decodeStoredFiles(encoded: Uint8Array): StoredFile[] {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length);
  const files: StoredFile[] = [];
  for (let at = 0; at < bytes.length;) {
    const status = statuses[bytes.readUInt8(at)];
    if (status === undefined) throw new RangeError("A worker thread answered with a file of no known status.");
    if (status === "failed") {
      const end = at + 5 + bytes.readUInt32LE(at + 1);
      const [code, message] = JSON.parse(bytes.toString("utf8", at + 5, end)) as [string, string];
      files.push({ status, code, message });
      at = end;
      continue;
    }
    const end = at + fixedBytes + bytes.readUInt32LE(at + 41) * 32;
    files.push({
      status,
      sizeBytes: bytes.readDoubleLE(at + 1),
      blobIds: encoded.subarray(at + fixedBytes, end),
      stamp: {
        sizeBytes: bytes.readDoubleLE(at + 9),
        mtimeNs: bytes.readBigInt64LE(at + 17),
        ctimeNs: bytes.readBigInt64LE(at + 25),
        inode: bytes.readBigUInt64LE(at + 33),
      },
    });
    at = end;
  }
  return files;
}
