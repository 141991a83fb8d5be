import { createCipheriv, createHash } from "node:crypto";
import { type Entry, generatedDirectory, generatedFile } from "../../../src/component/index.ts";
import { encodeConfig, newConfig } from "../../../src/repository/config-file.ts";
import { sealEnvelope } from "../../../src/repository/crypto/envelope.ts";
import { createKeyFile, generateMasterKey } from "../../../src/repository/crypto/key-file.ts";
import type { Repository, RepositoryWriter, Snapshot } from "../../../src/repository/index.ts";
import { type Backend, type FileHandle, type FileType, MemoryBackend } from "../../../src/storage/index.ts";

export const password = "correct horse";
const at = new Date("2026-01-02T03:04:05Z");
const types: readonly FileType[] = ["key", "data", "index", "snapshot", "lock"];

/** Bytes of the files of a backup by their paths, in the order of entries. */
export type Files = ReadonlyMap<string, Buffer>;

/** A backup that was reported complete, and what it must give back. */
export interface Reported {
  readonly snapshot: Snapshot;
  readonly files: Files;
}

/** A repository whose password is cheap to try: a thousand of them are opened. */
export async function makeRepository(backend: Backend): Promise<void> {
  await backend.create();
  const master = generateMasterKey();
  const key = await createKeyFile(master, password, at, { N: 1024, r: 8, p: 1 });
  await backend.save({ type: "key", name: createHash("sha256").update(key).digest("hex") }, key);
  await backend.save({ type: "config", name: "config" }, sealEnvelope(master, encodeConfig(newConfig())));
}

/** Files of three folders, of some 2 KB times `scale`; backups of neighbouring numbers share most of them. */
export function filesOf(number: number, scale = 1): Files {
  const files = new Map<string, Buffer>();
  for (let folder = 0; folder < 3; folder += 1) {
    for (let file = 0; file < 4; file += 1) {
      const version = number - ((number + folder + file) % 3);
      files.set(`folder${folder}/file${file}`, noise((700 + 900 * file) * scale, `${folder}/${file}/${version}`));
    }
  }
  files.set("own", Buffer.from(`the file of backup ${number}`));
  return files;
}

function noise(length: number, seed: string): Buffer {
  const key = createHash("sha256").update(seed).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** Stores the files, in three packs and more. `report` is called once it is reported complete. */
export async function backUp(
  repository: Repository,
  files: Files,
  report: (reported: Reported) => void = () => undefined,
): Promise<Reported> {
  const writer = await repository.writer();
  try {
    for (const start of [0, 5, 10]) {
      for (const bytes of Array.from(files.values()).slice(start, start + 5)) {
        await writer.storeStream(streamOf(bytes));
      }
      await writer.flush();
    }
    const reported = { snapshot: await saveTree(writer, files), files };
    report(reported);
    return reported;
  } finally {
    await writer.close();
  }
}

export async function saveTree(writer: RepositoryWriter, files: Files): Promise<Snapshot> {
  const { id: tree } = await writer.storeTree(entriesOf(files));
  return await writer.saveSnapshot({ time: at, tree, paths: ["/"], hostname: "test", tags: [] });
}

async function* streamOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* entriesOf(files: Files): AsyncGenerator<Entry> {
  yield generatedDirectory("", at);
  let folder = "";
  for (const [path, bytes] of files) {
    const [parent = "", name] = path.split("/");
    if (name !== undefined && parent !== folder) {
      folder = parent;
      yield generatedDirectory(folder, at);
    }
    yield generatedFile(path, at, () => streamOf(bytes));
  }
}

/** The files of a snapshot as the repository gives them back. */
export async function readBack(repository: Repository, snapshot: Snapshot): Promise<Files> {
  const reader = await repository.reader();
  try {
    const files = new Map<string, Buffer>();
    for await (const { path, content } of reader.walk(snapshot, Buffer.alloc(0))) {
      if (content === undefined) continue;
      const pieces: Uint8Array[] = [];
      for await (const piece of reader.read(content)) pieces.push(piece);
      files.set(path.toString(), Buffer.concat(pieces));
    }
    return files;
  } finally {
    await reader.close();
  }
}

/** "own: 3 instead of 22 bytes": where the two differ; empty if they do not. */
export function differences(expected: Files, found: Files): string[] {
  const paths = new Set([...expected.keys(), ...found.keys()]);
  return Array.from(paths).flatMap((path) => {
    const [a, b] = [expected.get(path), found.get(path)];
    if (a !== undefined && b !== undefined && a.equals(b)) return [];
    return [`${path}: ${b?.length ?? "no"} instead of ${a?.length ?? "no"} bytes`];
  });
}

/** Every file of a repository, the config first. */
export async function handlesOf(backend: Backend): Promise<FileHandle[]> {
  const handles: FileHandle[] = [{ type: "config", name: "config" }];
  for (const type of types) for await (const { name } of backend.list(type)) handles.push({ type, name });
  return handles;
}

/** Copies every file into `target`, an empty one in memory by default. */
export async function copyRepository(backend: Backend, target: Backend = new MemoryBackend()): Promise<Backend> {
  await target.create();
  for (const handle of await handlesOf(backend)) await target.save(handle, await backend.load(handle));
  return target;
}
