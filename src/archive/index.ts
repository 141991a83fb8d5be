// Backups as tar archives, in the pax format, made while they are read. It knows entries and contents, not where they come from.
export { tarArchive, type TarOptions, type TarPart } from "./tar-archive.ts";
