import { randomBytes } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { beforeEach, describe, expect, it } from "vitest";
import { MemoryBackend } from "../../storage/index.ts";
import { Sealer } from "../crypto/envelope.ts";
import { hexIdOf } from "../hex-id.ts";
import { BlobIndex } from "../index/blob-index.ts";
import { BlobLoader, openBlob } from "./blob-loader.ts";

const sealer = new Sealer({ encrypt: randomBytes(32), macK: randomBytes(16), macR: randomBytes(16) });
const plaintext = Buffer.from("a tree, let us say ".repeat(10));
const id = hexIdOf(plaintext);
const pack = "dd".repeat(32);
const damagedBy = (text: string): unknown =>
  expect.objectContaining({ code: "REPOSITORY_DAMAGED", message: expect.stringContaining(text) });

describe("openBlob", () => {
  const expected = { type: "data", id, uncompressedLength: 0, pack } as const;
  const compressed = { ...expected, uncompressedLength: plaintext.length };

  it("opens plain and compressed blobs", () => {
    expect(openBlob(sealer, sealer.seal(plaintext), expected)).toEqual(plaintext);
    expect(openBlob(sealer, sealer.seal(zstdCompressSync(plaintext)), compressed)).toEqual(plaintext);
  });

  it("refuses what was sealed well but is not what its id says, as after a fault of memory", () => {
    const wrong = Buffer.from(plaintext);
    wrong[7] = (wrong[7] as number) ^ 1;
    expect(() => openBlob(sealer, sealer.seal(wrong), expected)).toThrow(damagedBy(id));
    expect(() => openBlob(sealer, sealer.seal(zstdCompressSync(wrong)), compressed)).toThrow(damagedBy(pack));
  });

  it("refuses another length than the index says, and never unfolds more than that", () => {
    const bomb = sealer.seal(zstdCompressSync(Buffer.alloc(10_000_000)));
    expect(() => openBlob(sealer, bomb, compressed)).toThrow(damagedBy("cannot be decompressed"));
    expect(() => openBlob(sealer, bomb, { ...expected, uncompressedLength: 0xffff_ffff })).toThrow(damagedBy("claims"));
    const longer = { ...expected, uncompressedLength: plaintext.length + 1 };
    expect(() => openBlob(sealer, sealer.seal(zstdCompressSync(plaintext)), longer)).toThrow(damagedBy("length"));
  });
});

describe("BlobLoader", () => {
  let backend: MemoryBackend;
  let loader: BlobLoader;

  beforeEach(() => {
    backend = new MemoryBackend();
    const index = { blobs: new BlobIndex(), packs: [pack] };
    const place = { pack: 0, offset: 3, length: plaintext.length + 32, uncompressedLength: 0 };
    index.blobs.place("tree", Buffer.from(id, "hex"), place);
    loader = new BlobLoader(backend, sealer, index);
  });

  it("loads a blob from its place in its pack", async () => {
    await backend.save({ type: "data", name: pack }, Buffer.concat([Buffer.alloc(3), sealer.seal(plaintext)]));
    expect(await loader.load("tree", id)).toEqual(plaintext);
  });

  it("calls it damage, by name, if the pack is missing or too short or no index has the blob", async () => {
    await expect(loader.load("tree", id)).rejects.toThrow(damagedBy(pack));
    await backend.save({ type: "data", name: pack }, Buffer.alloc(10));
    await expect(loader.load("tree", id)).rejects.toThrow(damagedBy(pack));
    await expect(loader.load("data", id)).rejects.toThrow(damagedBy("in no index"));
  });
});
