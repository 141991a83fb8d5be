// Trees of files: scan and watch them, fix their point in time, write, stage and swap them. Used by mounts, code and the
// directory service. Terms: listing (what is known of a tree, on disk), overlay (what changed since, in memory), examine
// (look again at what changed), apart (a path in the tree that belongs to somebody else).
// It knows neither services nor the repository.
export { PathFilter, type PathFilterOptions } from "./path-filter.ts";
export { TreeSource, type TreeSourceOptions } from "./tree-source.ts";
