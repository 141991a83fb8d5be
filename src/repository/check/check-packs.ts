import { isHoldfastError, throwIfAborted } from "../../base/index.ts";
import type { Backend } from "../../storage/index.ts";
import type { CheckedIndex } from "./check-index.ts";
import type { Findings } from "./findings.ts";

/**
 * Compares the packs that are there with those that the index names. `early` are the packs that were there before the
 * index was read: only of those is it certain that no index names them.
 */
export async function checkPacks(
  backend: Backend,
  index: CheckedIndex,
  early: ReadonlySet<string>,
  findings: Findings,
  signal?: AbortSignal,
): Promise<number> {
  const missing = new Set(index.summaries.keys());
  let count = 0;
  for await (const { name, sizeBytes } of backend.list("data")) {
    throwIfAborted(signal);
    count += 1;
    missing.delete(name);
    const expected = index.summaries.get(name);
    if (expected !== undefined) checkSize(name, sizeBytes, expected.sizeBytes, findings);
    else if (early.has(name)) {
      findings.hint(
        "pack-orphaned",
        `The pack ${name} is in no index: an interrupted backup left it; prune removes it.`,
      );
    }
  }
  for (const name of missing) {
    const sizeBytes = await sizeOf(backend, name);
    if (sizeBytes === undefined) {
      findings.error("pack-missing", `The pack ${name} is in the index but not in the storage.`, {
        part: { kind: "pack", id: name },
      });
    } else {
      // Written since the list was begun.
      checkSize(name, sizeBytes, index.summaries.get(name)?.sizeBytes ?? 0, findings);
    }
  }
  return count;
}

function checkSize(name: string, sizeBytes: number, expected: number, findings: Findings): void {
  if (sizeBytes === expected) return;
  findings.error("pack-size", `The pack ${name} has ${sizeBytes} bytes where the index says ${expected}.`, {
    part: { kind: "pack", id: name },
  });
}

async function sizeOf(backend: Backend, name: string): Promise<number | undefined> {
  try {
    return (await backend.stat({ type: "data", name })).sizeBytes;
  } catch (error) {
    if (isHoldfastError(error, "STORAGE_NOT_FOUND")) return undefined;
    throw error;
  }
}
