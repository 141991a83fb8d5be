import type { CheckFinding, HexId } from "../repository.ts";
import { goQuote } from "../tree/go-text.ts";
import type { Affected } from "./affected-snapshots.ts";

/** What is damaged, so that the snapshots that refer to it can be found. */
export interface DamagedPart {
  readonly kind: "pack" | "data" | "tree" | "file";
  /** Of a file, its `fileKey`. */
  readonly id: HexId;
}

/** A file by the tree that lists it. */
export const fileKey = (tree: HexId, name: Buffer): string => `${tree}/${goQuote(name)}`;

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

  /** The report's list; `affected` says whom findings concern, by their numbers. */
  list(affected: ReadonlyMap<number, Affected>): CheckFinding[] {
    return this.#all.map(({ severity, kind, message, snapshots }, number) => {
      const concerned = affected.get(number) ?? (snapshots === undefined ? {} : { snapshots });
      return { severity, kind, message, ...concerned };
    });
  }
}

const keyOf = ({ kind, id }: DamagedPart): string => `${kind}/${id}`;
