import { open, rm } from "node:fs/promises";
import { putContent, removeDatabase } from "./sqlite-exchange.ts";
import { exchangePages, type PageSource, pagesBefore } from "./sqlite-page-exchange.ts";
import type { SqlitePlan } from "./sqlite-restore-plan.ts";
import { writeFully } from "./sqlite-rollback-journal.ts";

const chunkBytes = 4 * 1024 * 1024;

/**
 * Undoes an exchange of pages, whatever has been written since. Page by page again, and through SQLite if the live database
 * has meanwhile changed its journal mode or page size.
 */
export async function exchangePagesBack(
  plan: SqlitePlan,
  paths: { readonly staged: string; readonly old: string },
  left: () => number,
): Promise<void> {
  const wanted = await pagesBefore(paths.staged, paths.old, plan.pageSize);
  // Named as what SQLite keeps beside `staged` is, so that it goes with it after a death.
  const beside = `${paths.staged}-journal`;
  try {
    const mayWrite = (): void => undefined;
    if ((await exchangePages({ plan, wanted, saved: beside, left, mayWrite })) !== undefined) return;
    await writeDatabase(wanted, beside);
    await putContent(beside, plan.path, left);
    await removeDatabase(beside);
  } finally {
    await wanted.close();
    await rm(beside, { force: true });
  }
}

async function writeDatabase(pages: PageSource, path: string): Promise<void> {
  await using file = await open(path, "w", 0o600);
  const perChunk = Math.max(1, Math.floor(chunkBytes / pages.pageSize));
  for (let first = 0; first < pages.pages; first += perChunk) {
    const content = Buffer.allocUnsafe(Math.min(perChunk, pages.pages - first) * pages.pageSize);
    await pages.read(first, content);
    await writeFully(file, content, first * pages.pageSize);
  }
}
