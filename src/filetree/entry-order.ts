import { HoldfastError } from "../base/index.ts";
import { compareEntryPaths, type EntryPath, splitEntryPath, type StoredEntry } from "../component/index.ts";
import { splitLastName } from "./directory-chain.ts";

/**
 * Checks the paths of a backup's entries, which whoever wrote the repository chose: each name is one plain name, the
 * order is that of the contract, and what an entry is in is a directory of this backup. So nothing is ever written
 * through a link, or outside.
 */
export class EntryOrder {
  #last: EntryPath | undefined;
  /** Paths of the directories that the last entry is in, outermost first. */
  #open: EntryPath[] = [];

  /** Returns the directories that end before this entry, innermost first. @throws HoldfastError ENTRY_UNSAFE */
  next(entry: StoredEntry): EntryPath[] {
    const { path } = entry;
    checkNames(path);
    if (this.#last === undefined) {
      if (path.length > 0) throw unsafe(path, "the first entry is not the root");
    } else {
      if (compareEntryPaths(this.#last, path) >= 0) throw unsafe(path, "it is out of order, or there twice");
    }
    const ended: EntryPath[] = [];
    if (path.length > 0) {
      const { parent } = splitLastName(path);
      while (this.#open.length > 0 && this.#open.at(-1)?.equals(parent) !== true) {
        ended.push(this.#open.pop() as EntryPath);
      }
      if (this.#open.length === 0) throw unsafe(path, "what it is in is not a directory of the backup");
    }
    if ((entry.metadata.type === "file") !== (entry.content !== undefined)) {
      throw unsafe(path, "it is a file without bytes, or bytes without a file");
    }
    this.#last = path;
    if (entry.metadata.type === "dir") this.#open.push(path);
    return ended;
  }

  /** The directories still open at the end, innermost first. @throws HoldfastError ENTRY_UNSAFE if there was no entry */
  end(): EntryPath[] {
    if (this.#last === undefined) throw unsafe(Buffer.alloc(0), "the backup holds no entry");
    return this.#open.splice(0).reverse();
  }
}

function checkNames(path: EntryPath): void {
  for (const name of splitEntryPath(path)) {
    const text = name.toString("latin1");
    if (name.length === 0 || text === "." || text === ".." || name.includes(0) || name.length > 255) {
      throw unsafe(path, "a name in it is empty, a dot path, too long, or holds a zero byte");
    }
  }
  // A slash at the end leaves no name behind it to see.
  if (path.at(-1) === 0x2f) throw unsafe(path, "it ends in a slash");
}

function unsafe(path: EntryPath, why: string): HoldfastError {
  return new HoldfastError("ENTRY_UNSAFE", `The entry "${path.toString()}" of the backup was refused: ${why}.`, {
    facts: { path: path.toString() },
    remedy: "Somebody else may have written to the repository: run holdfast repo:check --read-data.",
  });
}
