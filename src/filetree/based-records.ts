import { compareEntryPaths, type EntryPath, type PreviousEntries, type PreviousEntry } from "../component/index.ts";
import type { TreeRecord } from "./tree-record.ts";

type BasedRecord = TreeRecord & Required<Pick<TreeRecord, "base">>;

export const hasBase = (record: TreeRecord): record is BasedRecord => record.base !== undefined;

/** A record for each entry that the directory's base stands for, in the order of their paths. */
export async function entriesOfBase(previous: PreviousEntries, directory: BasedRecord): Promise<TreeRecord[]> {
  const { base, path } = directory;
  const without = new Set(base.without.map((name) => name.toString("latin1")));
  const records: TreeRecord[] = [];
  for (const [name, entry] of (await previous.list(path)) ?? []) {
    if (entry.metadata.type !== "dir" && !without.has(name)) records.push(recordOf(entry, directory));
  }
  return records;
}

/** The record of one entry that the directory's base stands for. */
export async function entryOfBase(
  previous: PreviousEntries,
  directory: BasedRecord,
  name: Buffer,
): Promise<TreeRecord | undefined> {
  if (directory.base.without.some((other) => other.equals(name))) return undefined;
  const entry = (await previous.list(directory.path))?.get(name.toString("latin1"));
  return entry === undefined || entry.metadata.type === "dir" ? undefined : recordOf(entry, directory);
}

function recordOf({ path, metadata, content }: PreviousEntry, { base }: BasedRecord): TreeRecord {
  const sizeBytes = content?.sizeBytes ?? 0;
  // What each takes on the disk is not known any more, but what they take together.
  const diskBytes = base.bytes === 0 ? 0 : Math.round((base.diskBytes * sizeBytes) / base.bytes);
  return { path, metadata, sizeBytes, diskBytes, ...(content === undefined ? {} : { content }) };
}

interface OpenDirectory {
  readonly path: EntryPath;
  readonly entries: readonly TreeRecord[];
  at: number;
}

/** Puts, into records in the order of their paths, those that the bases of the wanted directories stand for. */
export async function* expandBases(
  records: AsyncIterable<TreeRecord>,
  previous: PreviousEntries | undefined,
  isWanted: (directory: EntryPath) => boolean,
): AsyncGenerator<TreeRecord> {
  const open: OpenDirectory[] = [];
  for await (const record of records) {
    for (let directory = open.at(-1); directory !== undefined; directory = open.at(-1)) {
      const isIn = isBelow(directory.path, record.path);
      for (let entry = directory.entries[directory.at]; entry !== undefined; entry = directory.entries[directory.at]) {
        if (isIn && compareEntryPaths(entry.path, record.path) > 0) break;
        directory.at += 1;
        yield entry;
      }
      if (isIn) break;
      open.pop();
    }
    if (!hasBase(record) || previous === undefined || !isWanted(record.path)) {
      yield record;
      continue;
    }
    const entries = await entriesOfBase(previous, record);
    open.push({ path: record.path, entries, at: 0 });
    const { base: _base, ...itself } = record;
    yield itself;
  }
  for (const { entries, at } of open.toReversed()) yield* entries.slice(at);
}

const isBelow = (directory: EntryPath, path: EntryPath): boolean =>
  directory.length === 0 ||
  (path.length > directory.length &&
    path[directory.length] === 0x2f &&
    path.subarray(0, directory.length).equals(directory));
