import type { MemoryBackup } from "../../component/conformance/index.ts";
import { generatedMetadata, type MemoryContents, type SourceDescription } from "../../component/index.ts";

/** A backup in memory, as JSON for another process. */
export interface StoredBackup {
  readonly description: SourceDescription;
  readonly entries: readonly { readonly path: string; readonly content?: string }[];
}

export async function packBackup(backup: MemoryBackup): Promise<StoredBackup> {
  const entries: { path: string; content?: string }[] = [];
  for (const { path, content } of backup.entries) {
    if (content === undefined) entries.push({ path: path.toString() });
    else {
      const chunks: Uint8Array[] = [];
      for await (const chunk of backup.contents.read(content)) chunks.push(chunk);
      entries.push({ path: path.toString(), content: Buffer.concat(chunks).toString("base64") });
    }
  }
  return { description: backup.description, entries };
}

export async function unpackBackup(stored: StoredBackup, contents: MemoryContents): Promise<MemoryBackup> {
  const entries: MemoryBackup["entries"][number][] = [];
  for (const { path, content } of stored.entries) {
    const metadata = generatedMetadata(content === undefined ? "dir" : "file", new Date(0));
    if (content === undefined) entries.push({ path: Buffer.from(path), metadata });
    else {
      const bytes = Buffer.from(content, "base64");
      const storedContent = await contents.storeStream(
        (async function* () {
          yield bytes;
        })(),
      );
      entries.push({ path: Buffer.from(path), metadata, content: storedContent });
    }
  }
  return { contents, description: stored.description, entries, warnings: [] };
}
