import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import type { StoredFile } from "./protocol.ts";
import { decodeStoredFiles, encodeStoredFiles } from "./stored-files.ts";

test("files of every status come out as they went in", () => {
  const files: StoredFile[] = [
    {
      status: "stored",
      sizeBytes: 2 ** 40 + 3,
      blobIds: randomBytes(32 * 5),
      stamp: { sizeBytes: 7, mtimeNs: -1n, ctimeNs: 1_800_000_000_123_456_789n, inode: 2n ** 64n - 1n },
    },
    { status: "failed", code: "EACCES", message: 'permission denied, open "ü\n"' },
    {
      status: "changing",
      sizeBytes: 0,
      blobIds: new Uint8Array(0),
      stamp: { sizeBytes: 0, mtimeNs: 0n, ctimeNs: 0n, inode: 0n },
    },
    { status: "failed", code: "ENOENT", message: "" },
  ];
  const decoded = decodeStoredFiles(encodeStoredFiles(files));
  const comparable = (file: StoredFile): unknown =>
    file.status === "failed" ? file : { ...file, blobIds: Buffer.from(file.blobIds).toString("hex") };
  expect(decoded.map(comparable)).toEqual(files.map(comparable));
  expect(decodeStoredFiles(encodeStoredFiles([]))).toEqual([]);
});
