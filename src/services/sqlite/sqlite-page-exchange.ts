import { type FileHandle, link, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { setImmediate } from "node:timers/promises";
import { openDatabase, pragma, untilFree } from "./sqlite-database.ts";
import { tooLate } from "./sqlite-exchange.ts";
import { type SqlitePlan, syncPath } from "./sqlite-restore-plan.ts";
import {
  lockPage,
  readFully,
  readFullySync,
  readJournalIndex,
  RollbackJournalWriter,
  writeFully,
  writeFullySync,
} from "./sqlite-rollback-journal.ts";

const chunkBytes = 2 * 1024 * 1024;
/** Runs of pages up to this are written without the thread pool. */
const syncBytes = 128 * 1024;
/** Chunks that are read beside each other: reading takes more time than comparing. */
const lanes = 2;

/** The pages of a database that nobody writes. */
export interface PageSource {
  readonly pageSize: number;
  readonly pages: number;
  /** Reads `into.length / pageSize` pages from page `first` (from 0). */
  read(first: number, into: Buffer): Promise<void>;
  /** The same at once, for few pages: through the thread pool one page costs twenty times as much. */
  readSync(first: number, into: Buffer): void;
  close(): Promise<void>;
}

/** A database file's own pages; undefined if its size does not fit its page size. */
export async function pagesOfFile(path: string, pageSize: number): Promise<PageSource | undefined> {
  const file = await open(path, "r");
  const pages = (await file.stat()).size / pageSize;
  if (pages === 0 || !Number.isInteger(pages)) {
    await file.close();
    return undefined;
  }
  return {
    pageSize,
    pages,
    read: (first, into) => readFully(file, into, first * pageSize),
    readSync: (first, into) => readFullySync(file.fd, into, first * pageSize),
    close: () => file.close(),
  };
}

/** The old pages: those in the journal `saved`, and for the others those of `staged`, from which they did not differ. */
export async function pagesBefore(staged: string, saved: string, pageSize: number): Promise<PageSource> {
  const journal = await open(saved, "r");
  let file: FileHandle | undefined;
  try {
    const { pages, offsets } = await readJournalIndex(journal, saved, pageSize);
    const same = await open(staged, "r");
    file = same;
    const stagedPages = Math.floor((await same.stat()).size / pageSize);
    const readSync = (first: number, into: Buffer): void => {
      const count = into.length / pageSize;
      const there = Math.max(0, Math.min(count, stagedPages - first));
      into.fill(0, there * pageSize);
      readFullySync(same.fd, into.subarray(0, there * pageSize), first * pageSize);
      for (let index = 0; index < count; index += 1) {
        const at = offsets.get(first + index + 1);
        if (at !== undefined) readFullySync(journal.fd, into.subarray(index * pageSize, (index + 1) * pageSize), at);
      }
    };
    return {
      pageSize,
      pages,
      read: async (first, into) => readSync(first, into),
      readSync,
      close: async () => {
        await same.close();
        await journal.close();
      },
    };
  } catch (error) {
    await file?.close();
    await journal.close();
    throw error;
  }
}

export interface PageExchange {
  readonly plan: SqlitePlan;
  readonly wanted: PageSource;
  /** Where the pages that are replaced are kept, as a rollback journal of SQLite's. */
  readonly saved: string;
  /** Milliseconds left. */
  readonly left: () => number;
  /** Asked before anything is changed. May throw. */
  readonly mayWrite: (changedBytes: number) => void;
}

/**
 * Makes the live database's pages those of `wanted`, writing only those that differ, while SQLite's exclusive lock keeps
 * everybody else out. For databases with a rollback journal. What they were goes into a journal first, which has the name that SQLite
 * looks for as long as pages are written: whatever dies meanwhile, the next process that opens the database puts all back.
 * Other connections notice by the change counter and the schema cookie, as after any other transaction.
 * @returns bytes that differed, or undefined, with nothing changed, if this database cannot be done in this way
 */
export async function exchangePages(exchange: PageExchange): Promise<number | undefined> {
  const { plan, wanted, left } = exchange;
  const live = openDatabase(plan.path);
  // Open to the end: closing it would let go of SQLite's locks on the file, which are this process's.
  const file = await open(plan.path, "r+");
  try {
    if (!(await untilFree(left(), () => isSuitable(live, file, wanted.pageSize)))) return undefined;
    await untilFree(left(), () => live.exec("BEGIN EXCLUSIVE"));
    try {
      // Again, since nobody can change it any more.
      if (!(await isSuitable(live, file, wanted.pageSize))) return undefined;
      return await writeDifferences(exchange, file);
    } finally {
      // SQLite itself has written nothing, and a COMMIT could cut the file to the size it knew.
      live.exec("ROLLBACK");
    }
  } finally {
    live.close();
    await file.close();
  }
}

async function isSuitable(live: DatabaseSync, file: FileHandle, pageSize: number): Promise<boolean> {
  const { size } = await file.stat();
  return (
    pragma(live, "journal_mode") !== "wal" &&
    pragma(live, "page_size") === pageSize &&
    size > 0 &&
    Number(pragma(live, "page_count")) * pageSize === size
  );
}

async function writeDifferences(exchange: PageExchange, file: FileHandle): Promise<number> {
  const { plan, wanted, saved } = exchange;
  const { pageSize } = wanted;
  const before = await file.stat();
  const oldPages = before.size / pageSize;
  const differing: number[] = [];
  {
    await using kept = await open(saved, "w", 0o600);
    const journal = new RollbackJournalWriter(kept, pageSize);
    await compare(exchange, file, oldPages, async (page, content) => {
      differing.push(page);
      if (page < oldPages) await journal.add(page + 1, content);
    });
    exchange.mayWrite(differing.length * pageSize);
    // Whoever may write the database has to be able to roll back.
    const mine = await kept.stat();
    if (mine.uid !== before.uid || mine.gid !== before.gid) await kept.chown(before.uid, before.gid);
    await kept.chmod(before.mode & 0o777);
    await journal.finish(oldPages);
  }
  const hot = `${plan.path}-journal`;
  // What is there is of no use while nobody has a transaction: SQLite leaves it empty or with its header blanked.
  await rm(hot, { force: true });
  await link(saved, hot);
  await syncPath(dirname(plan.path));
  await writePages(
    wanted,
    file,
    differing.filter((page) => page < wanted.pages),
  );
  await file.truncate(wanted.pages * pageSize);
  await file.sync();
  await rm(hot);
  await syncPath(dirname(plan.path));
  return differing.length * pageSize;
}

/** Calls `onDifference` for every page (from 0) of either that is not the same in both, with the live content, in no order. */
async function compare(
  { wanted, left, plan }: PageExchange,
  file: FileHandle,
  oldPages: number,
  onDifference: (page: number, content: Buffer) => Promise<void>,
): Promise<void> {
  const { pageSize } = wanted;
  const skipped = lockPage(pageSize) - 1;
  const perChunk = Math.max(1, Math.floor(chunkBytes / pageSize));
  const total = Math.max(oldPages, wanted.pages);
  let next = 0;
  // One at a time: the journal is written at its end.
  let adding = Promise.resolve();
  const lane = async (): Promise<void> => {
    const mine = Buffer.allocUnsafe(perChunk * pageSize);
    const theirs = Buffer.allocUnsafe(perChunk * pageSize);
    for (let first = next; first < total; first = next) {
      next += perChunk;
      if (left() <= 0) throw tooLate(plan.path);
      const count = (pages: number): number => Math.max(0, Math.min(perChunk, pages - first));
      const [oldCount, newCount] = [count(oldPages), count(wanted.pages)];
      const old = mine.subarray(0, oldCount * pageSize);
      const fresh = theirs.subarray(0, newCount * pageSize);
      await Promise.all([readFully(file, old, first * pageSize), wanted.read(first, fresh)]);
      // Page 1 always differs: it has the change counter.
      if (first > 0 && old.equals(fresh)) continue;
      const add = async (): Promise<void> => {
        for (let index = 0; index < Math.max(oldCount, newCount); index += 1) {
          const page = first + index;
          const [start, end] = [index * pageSize, (index + 1) * pageSize];
          const inBoth = index < Math.min(oldCount, newCount);
          const same = page > 0 && inBoth && old.compare(fresh, start, end, start, end) === 0;
          if (!same && page !== skipped) await onDifference(page, old.subarray(start, end));
        }
      };
      adding = adding.then(add);
      await adding;
    }
  };
  const results = await Promise.allSettled(Array.from({ length: lanes }, lane));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** Writes the pages (from 0) in `changed`, runs of neighbours at once. */
async function writePages(wanted: PageSource, file: FileHandle, changed: readonly number[]): Promise<void> {
  const { pageSize } = wanted;
  const perChunk = Math.max(1, Math.floor(chunkBytes / pageSize));
  const buffer = Buffer.allocUnsafe(perChunk * pageSize);
  const pages = changed.toSorted((a, b) => a - b);
  let sinceTurn = 0;
  for (let start = 0; start < pages.length;) {
    const first = pages[start] ?? 0;
    let count = 1;
    while (count < perChunk && pages[start + count] === first + count) count += 1;
    const content = buffer.subarray(0, count * pageSize);
    if (content.length > syncBytes) {
      await wanted.read(first, content);
      if (first === 0) await adoptHeader(content, file, wanted.pages);
      await writeFully(file, content, first * pageSize);
    } else {
      wanted.readSync(first, content);
      if (first === 0) await adoptHeader(content, file, wanted.pages);
      writeFullySync(file.fd, content, first * pageSize);
      sinceTurn += content.length;
      // Lets others have their turn.
      if (sinceTurn > chunkBytes) {
        sinceTurn = 0;
        await setImmediate();
      }
    }
    start += count;
  }
}

/** What of the header has to follow the live database: https://www.sqlite.org/fileformat2.html, section 1.3. */
async function adoptHeader(content: Buffer, file: FileHandle, pages: number): Promise<void> {
  const header = Buffer.alloc(100);
  await readFully(file, header, 0);
  const raise = (at: number): number => (header.readUInt32BE(at) + 1) >>> 0;
  // Journal mode.
  header.copy(content, 18, 18, 20);
  // Change counter and the version it is valid for: other connections drop their caches.
  content.writeUInt32BE(raise(24), 24);
  content.writeUInt32BE(raise(24), 92);
  content.writeUInt32BE(pages, 28);
  // Schema cookie: other connections prepare their statements anew.
  content.writeUInt32BE(raise(40), 40);
}
