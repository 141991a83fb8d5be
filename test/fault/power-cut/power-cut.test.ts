import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CatalogWriter, missingIn } from "./cut-power.ts";

// What the system keeps of unwritten pages is copied here, too; `node test/fault/power-cut.ts` copies a disk's image.
test("the catalog's files, copied in the middle of writing, have everything that was acknowledged", async () => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-power-cut-"));
  const file = join(folder, "catalog.db");
  const writer = new CatalogWriter(file);
  try {
    for (let cut = 1; cut <= 5; cut += 1) {
      await writer.writeMore(50 * cut);
      const copy = join(folder, `copy-${cut}.db`);
      const acknowledged = await writer.cut((lines) => {
        copyFileSync(file, copy);
        if (existsSync(`${file}-wal`)) copyFileSync(`${file}-wal`, `${copy}-wal`);
        return lines;
      });
      expect(acknowledged.length).toBeGreaterThanOrEqual(50 * cut);
      expect(await missingIn(copy, acknowledged)).toEqual([]);
    }
  } finally {
    await writer.stop();
    rmSync(folder, { recursive: true });
  }
}, 120_000);
