import { compareEntryPaths } from "../component/index.ts";
import type { ScannedEntry } from "./scan.ts";
import { type TreeRecord, sameStamp } from "./tree-record.ts";

/** Finds, for each entry of a scan in its order, what an earlier listing of the tree knows of the same file. */
export class KnownRecords {
  readonly #records: AsyncIterator<TreeRecord>;
  #next: IteratorResult<TreeRecord, unknown> | undefined;

  constructor(records: AsyncIterable<TreeRecord>) {
    this.#records = records[Symbol.asyncIterator]();
  }

  /** The record with the entry's content filled in, if the file is unchanged since; else undefined. */
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
