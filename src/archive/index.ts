// Backups as tar archives, in the pax format, made and read while they pass. It knows entries and contents, not where they come from.
export { tarArchive, type TarOptions, type TarPart } from "./tar-archive.ts";
export { readTar, type TarEntry } from "./tar-reader.ts";
