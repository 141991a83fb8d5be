import type { CheckFinding, HexId } from "../repository.ts";

/** What is damaged, so that the snapshots that refer to it can be found. */
export interface DamagedPart {
  readonly kind: "pack" | "data" | "tree";
  readonly id: HexId;
}

interface Finding extends CheckFinding {
  readonly part?: DamagedPart;
}

/** What a check has found so far. */
export class Findings {
  readonly #all: Finding[] = [];
  readonly #parts = new Map<string, number[]>();

  error(kind: string, message: string, options: { part?: DamagedPart; snapshots?: readonly HexId[] } = {}): void {
    const number = this.#all.push({ severity: "error", kind, message, ...options }) - 1;
    if (options.part === undefined) return;
    const key = keyOf(options.part);
    const known = this.#parts.get(key);
    if (known === undefined) this.#parts.set(key, [number]);
    else known.push(number);
  }

  hint(kind: string, message: string): void {
    this.#all.push({ severity: "hint", kind, message });
  }

  /** True if something is damaged that snapshots may refer to. */
  get hasDamagedParts(): boolean {
    return this.#parts.size > 0;
  }

  /** Numbers of the findings about this part. */
  about(part: DamagedPart): readonly number[] {
    return this.#parts.get(keyOf(part)) ?? [];
  }

  /** The report's list; `affected` has the snapshots by the findings' numbers. */
  list(affected: ReadonlyMap<number, readonly HexId[]>): CheckFinding[] {
    return this.#all.map(({ severity, kind, message, snapshots }, number) => {
      const ids = affected.get(number) ?? snapshots;
      return ids === undefined ? { severity, kind, message } : { severity, kind, message, snapshots: ids };
    });
  }
}

const keyOf = ({ kind, id }: DamagedPart): string => `${kind}/${id}`;
