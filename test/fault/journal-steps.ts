import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import type { OperationId } from "../../src/base/index.ts";
import { OperationFolder } from "../../src/engine/journal.ts";

/** What a process left in the state: the operation's kind, and the steps of its journal in order. */
export interface LeftOperation {
  readonly kind: string;
  readonly steps: readonly string[];
}

/** The newest operation that was left; a journal without its first record counts as none. */
export function leftOperation(siteFolder: string): LeftOperation | undefined {
  const state = path.join(siteFolder, "state");
  const folder = path.join(state, "operations");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const journals = names.map((name) => OperationFolder.at(state, name as OperationId).records());
  const begun = journals.flatMap((records) => {
    const [begin] = records;
    return begin?.step === "begin" ? [{ at: begin.at, kind: begin.kind, steps: records.map(({ step }) => step) }] : [];
  });
  return begun.toSorted((a, b) => a.at.localeCompare(b.at)).at(-1);
}
