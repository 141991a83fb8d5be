const never = 0;
const many = 0xffff_ffff;

/** In which snapshots something was that comes and goes while snapshots are looked at one after the other. */
export class Presence {
  /** 0 if it was in none; the place of the only snapshot, from 1; or in many. */
  readonly #only: Uint32Array;
  /** The lowest rank of a snapshot that has it, from 1; 0 for none. */
  readonly #first: Uint32Array;

  /** For entries from 1 to `size`. */
  constructor(size: number) {
    this.#only = new Uint32Array(size + 1);
    this.#first = new Uint32Array(size + 1);
  }

  /** It is in the snapshot at this place, whose rank is the lowest of those that follow, and was not in the one before. */
  comes(entry: number, place: number, rank: number): void {
    this.#only[entry] = this.#only[entry] === never ? place + 1 : many;
    const first = this.#first[entry] as number;
    if (first === 0 || rank + 1 < first) this.#first[entry] = rank + 1;
  }

  /** It was in the snapshot before this place and is not in this one. */
  goes(entry: number, place: number): void {
    const only = this.#only[entry] as number;
    if (only !== many && place - (only - 1) > 1) this.#only[entry] = many;
  }

  /** Place of the one snapshot that has it; undefined if several have, or none. Once all have gone. */
  onlyIn(entry: number): number | undefined {
    const only = this.#only[entry] as number;
    return only === never || only === many ? undefined : only - 1;
  }

  /** Lowest rank of a snapshot that has it; undefined if none has. */
  firstIn(entry: number): number | undefined {
    const first = this.#first[entry] as number;
    return first === 0 ? undefined : first - 1;
  }
}
