import { damaged, storedObject } from "../damage.ts";
import { isHexId } from "../hex-id.ts";
import type { HexId } from "../repository.ts";
import { parseGoTime } from "../tree/go-time.ts";

/**
 * Packs that no snapshot needed at `time`: they will be deleted a safety time later, unless one needs them again. They
 * stand in index files of their own under a name that restic ignores, and the packs stay in the index besides: whoever
 * does not know marks reads on. Writers of Holdfast rely on no blob that lies in marked packs only.
 */
export interface PackMarks {
  readonly time: Date;
  /** In the index. */
  readonly packs: readonly HexId[];
  /** In no index: a killed writer left them, or a writer is about to index them, which ends the mark. */
  readonly orphans: readonly HexId[];
}

/** Marks are looked for in index files up to this size before any other is read. */
export const maxMarkFileBytes = 64 << 10;
/** So many ids, which compress to little more than 32 bytes each, stay below that. */
const packsPerFile = 1000;

/** The marks in parts that fit a file each. */
export function* splitMarks({ time, packs, orphans }: PackMarks): Generator<PackMarks> {
  for (let at = 0; at < Math.max(packs.length, orphans.length); at += packsPerFile / 2) {
    const part = (list: readonly HexId[]): readonly HexId[] => list.slice(at, at + packsPerFile / 2);
    yield { time, packs: part(packs), orphans: part(orphans) };
  }
}

/** The JSON of an index file that holds marks only. */
export function encodeMarks(marks: PackMarks): string {
  return `{"packs":[],"holdfast_marks":${JSON.stringify({ ...marks, time: marks.time.toISOString() })}}\n`;
}

/** The marks in the value of an index file's `holdfast_marks`. @throws HoldfastError REPOSITORY_DAMAGED naming `what` */
export function decodeMarks(value: unknown, what: string): PackMarks {
  const { time, packs, orphans } = storedObject(value, `marks of the ${what}`);
  const ns = parseGoTime(time);
  if (ns === undefined) throw damaged(`The ${what} has marks with a malformed time.`);
  return { time: new Date(Number(ns / 1_000_000n)), packs: ids(packs, what), orphans: ids(orphans, what) };
}

function ids(value: unknown, what: string): readonly HexId[] {
  if (!Array.isArray(value) || !value.every(isHexId)) throw damaged(`The ${what} has a malformed list of marks.`);
  return value;
}
