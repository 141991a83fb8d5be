// Trees of files: scan and watch them, fix their point in time; write, stage and swap them. Used by mounts, code and the
// directory service. Terms: listing (what is known of a tree, on disk), overlay (what changed since, in memory), examine
// (look again at what changed), apart (a path in the tree that belongs to somebody else), keeper (a directory of the live
// tree that holds something that a restore leaves in place).
// It knows neither services nor the repository.
export { readDurable, writeDurably } from "./durable-file.ts";
export { PathFilter, type PathFilterOptions } from "./path-filter.ts";
export { removeTree } from "./remove-tree.ts";
export { scanTree, type ScannedEntry, type ScanOptions, type Unreadable } from "./scan.ts";
export { TreeDirectory } from "./tree-directory.ts";
export { TreeSource, type TreeSourceOptions } from "./tree-source.ts";
export { TreeTarget, type TreeTargetOptions } from "./tree-target.ts";
export { writeTree, type WriteTreeOptions } from "./write-tree.ts";
