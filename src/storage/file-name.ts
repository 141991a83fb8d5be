import type { FileHandle, FileType } from "./backend.ts";

/** The folder of each type, as restic names it; `config` stands in the repository's own folder. */
export const typeFolders: Readonly<Record<Exclude<FileType, "config">, string>> = {
  key: "keys",
  data: "data",
  index: "index",
  snapshot: "snapshots",
  lock: "locks",
};

const hexName = /^[0-9a-f]{64}$/;

/** True for names of stored files; anything else in a folder is a temporary or foreign. */
export function isStoredName(name: string): boolean {
  return hexName.test(name);
}

const temporaryName = /^(?:[0-9a-f]{64}|config)-tmp-[0-9a-f]+$/;

/** True for names that files have while they are being written. */
export function isTemporaryName(name: string): boolean {
  return temporaryName.test(name);
}

/** @throws TypeError for a handle that names no file of a repository */
export function checkHandle(handle: FileHandle): void {
  const valid = handle.type === "config" ? handle.name === "config" : isStoredName(handle.name);
  if (!valid) throw new TypeError(`"${handle.name}" is not the name of a ${handle.type} file.`);
}

/** "pack 12ab...": for messages. */
export function describeHandle({ type, name }: FileHandle): string {
  return type === "config" ? "config" : `${type} ${name}`;
}
