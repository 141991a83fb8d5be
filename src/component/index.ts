// The contract between the engine and everything that has data: a source is prepared, frozen, read; a target is staged,
// swapped, settled. Terms: entry (a file, directory, link or device at a path), content (a file's bytes), freeze point.
// It knows neither services nor the repository.
export type {
  ContentReader,
  ContentStore,
  DirectoryBase,
  DirectoryComparison,
  FileProperties,
  FileStamp,
  FileToStore,
  FileToWrite,
  PreviousEntries,
  PreviousEntry,
  StoredContent,
  StoreFileResult,
  WriteFileResult,
} from "./content.ts";
export type { ProgressDelta, SourceContext, TargetContext, Warning } from "./context.ts";
export {
  compareEntryPaths,
  type Entry,
  type EntryBase,
  type EntryContent,
  type EntryMetadata,
  type EntryPath,
  type EntryType,
  entryTypes,
  type ExtendedAttribute,
  generatedDirectory,
  generatedFile,
  generatedMetadata,
  joinEntryPath,
  splitEntryPath,
  type StoredEntry,
} from "./entry.ts";
export { fileStamp, MemoryContents } from "./memory-contents.ts";
export type { FreezePoint, Source, SourceDescription } from "./source.ts";
export type { Restorable, StageReport, SwapReport, Target } from "./target.ts";
