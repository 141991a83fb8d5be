import { describe, expect, test } from "vitest";
import { generatedMetadata, MemoryContents, type StoredEntry } from "../component/index.ts";
import { tarArchive } from "./tar-archive.ts";
import { readTar } from "./tar-reader.ts";

const at = new Date("2026-11-21T04:12:00Z");
const contents = new MemoryContents();

async function* inPieces(bytes: Buffer, length: number): AsyncIterable<Uint8Array> {
  for (let start = 0; start < bytes.length; start += length) yield bytes.subarray(start, start + length);
}

async function archiveOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const entries = async function* (): AsyncIterable<StoredEntry> {
    for (const [path, text] of Object.entries(files)) {
      const content = await contents.storeStream(inPieces(Buffer.from(text), 1000));
      yield { path: Buffer.from(path), metadata: generatedMetadata("file", at), content };
    }
  };
  const chunks: Buffer[] = [];
  const options = { signal: new AbortController().signal, onMember: () => undefined, onSkipped: () => undefined };
  for await (const chunk of tarArchive([{ path: Buffer.alloc(0), entries: entries() }], contents, options)) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function read(archive: Buffer, pieceLength: number): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { path, body } of readTar(inPieces(archive, pieceLength))) {
    const chunks: Buffer[] = [];
    for await (const chunk of body) chunks.push(chunk);
    found[path.toString()] = Buffer.concat(chunks).toString();
  }
  return found;
}

const files = { "a.sql": "a".repeat(1234), empty: "", [`${"deep/".repeat(60)}ä.sql`]: "long", last: "x".repeat(512) };

describe("reading a tar archive", () => {
  test.each([1, 511, 512, 513, 100_000])("gives back what was written, however it is cut: %i bytes", async (length) => {
    expect(await read(await archiveOf(files), length)).toEqual(files);
  });

  test("passes over bodies that nobody takes", async () => {
    const paths: string[] = [];
    for await (const { path } of readTar(inPieces(await archiveOf(files), 700))) paths.push(path.toString());
    expect(paths).toEqual(Object.keys(files));
  });

  test("refuses an archive that ends anywhere before its end", async () => {
    const archive = await archiveOf(files);
    for (let end = 0; end <= archive.length - 1024; end += 256) {
      await expect(read(archive.subarray(0, end), 512)).rejects.toMatchObject({ code: "SERVER_ANSWER_INVALID" });
    }
  });

  test("refuses what is no archive", async () => {
    await expect(read(Buffer.alloc(2048, "<html>"), 512)).rejects.toMatchObject({ code: "SERVER_ANSWER_INVALID" });
  });
});
