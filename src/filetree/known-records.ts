import { compareEntryPaths, type EntryPath, type PreviousEntries } from "../component/index.ts";
import { splitLastName } from "./directory-chain.ts";
import type { ScannedEntry } from "./scan.ts";
import { type TreeRecord, sameStamp } from "./tree-record.ts";

/** Finds, for each entry of a scan in its order, what an earlier look at the tree knows of the same file. */
export interface KnownRecords {
  /** The record with the entry's content filled in, if the file is unchanged since; else undefined. */
  find(entry: ScannedEntry): Promise<TreeRecord | undefined>;
}

type PreviousDirectory = Awaited<ReturnType<PreviousEntries["list"]>>;

/** From the same component's entries in the environment's previous backup. */
export class KnownFromBackup implements KnownRecords {
  readonly #previous: PreviousEntries;
  /** The directories above the last entry. */
  #chain: { readonly path: EntryPath; readonly entries: PreviousDirectory }[] = [];

  constructor(previous: PreviousEntries) {
    this.#previous = previous;
  }

  async find(entry: ScannedEntry): Promise<TreeRecord | undefined> {
    const { parent, name } = splitLastName(entry.path);
    let level = this.#chain.find(({ path }) => path.equals(parent));
    if (level === undefined) {
      this.#chain = this.#chain.filter(({ path }) => isAbove(path, parent));
      level = { path: Buffer.from(parent), entries: await this.#previous.list(parent) };
      this.#chain.push(level);
    }
    const known = level.entries?.get(name.toString("latin1"));
    if (known?.content === undefined || known.stamp === undefined || !sameStamp(entry, known.stamp)) return undefined;
    return { ...entry, content: known.content };
  }
}

const isAbove = (path: EntryPath, below: EntryPath): boolean =>
  path.length === 0 ||
  (below.length > path.length && below[path.length] === 0x2f && below.subarray(0, path.length).equals(path));

/** From an earlier listing of the same tree, read along with the scan. */
export class KnownFromListing implements KnownRecords {
  readonly #records: AsyncIterator<TreeRecord>;
  #next: IteratorResult<TreeRecord, unknown> | undefined;

  constructor(records: AsyncIterable<TreeRecord>) {
    this.#records = records[Symbol.asyncIterator]();
  }

  async find(entry: ScannedEntry): Promise<TreeRecord | undefined> {
    this.#next ??= await this.#records.next();
    while (this.#next.done !== true && compareEntryPaths(this.#next.value.path, entry.path) < 0) {
      this.#next = await this.#records.next();
    }
    if (this.#next.done === true || !this.#next.value.path.equals(entry.path)) return undefined;
    const { content, racy } = this.#next.value;
    if (content === undefined || racy === true) return undefined;
    const { mtimeNs, ctimeNs, inode } = entry.metadata;
    const same = sameStamp(this.#next.value, { sizeBytes: entry.sizeBytes, mtimeNs, ctimeNs, inode });
    return same ? { ...entry, content } : undefined;
  }

  async close(): Promise<void> {
    await this.#records.return?.();
  }
}
