import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  HoldfastError,
  isHoldfastError,
  makeDirectories,
  messageOf,
  systemErrorCode,
  writePrivateFile,
} from "../../base/index.ts";
import { parseStoredJson, storedObject } from "../damage.ts";
import { isHexId } from "../hex-id.ts";
import type { HexId } from "../repository.ts";

/** When each pack was last read and found sound, in seconds since 1970. */
export type PackReads = Map<HexId, number>;

/**
 * Remembers across checks which packs were read when, so that a share at a time all are read in turn. Only checks know it:
 * lost, it costs no more than reading some packs again early.
 */
export interface ReadHistory {
  load(): Promise<PackReads>;
  /** Takes the reads in, durably. Of two reads of a pack the later counts. Packs that `isKnown` denies are forgotten. */
  add(reads: PackReads, isKnown: (pack: HexId) => boolean): Promise<void>;
}

/** A history that lasts as long as it is kept in memory. */
export class MemoryReadHistory implements ReadHistory {
  #reads: PackReads = new Map();

  async load(): Promise<PackReads> {
    return new Map(this.#reads);
  }

  async add(reads: PackReads, isKnown: (pack: HexId) => boolean): Promise<void> {
    this.#reads = merge(this.#reads, reads, isKnown);
  }
}

/** A history in the file `pack-reads.json` of a folder, which is made if it is missing. */
export class FileReadHistory implements ReadHistory {
  readonly #folder: string;
  readonly #file: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.#file = join(folder, "pack-reads.json");
  }

  async load(): Promise<PackReads> {
    let bytes: Buffer;
    try {
      bytes = await readFile(this.#file);
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return new Map();
      throw error;
    }
    try {
      return decodeReads(bytes, Date.now() / 1000);
    } catch (error) {
      // Whatever is wrong with it: reading packs again does no harm.
      if (isHoldfastError(error, "REPOSITORY_DAMAGED")) return new Map();
      throw error;
    }
  }

  async add(reads: PackReads, isKnown: (pack: HexId) => boolean): Promise<void> {
    // Another check may have written meanwhile.
    const all = merge(await this.load(), reads, isKnown);
    await makeDirectories(this.#folder, 0o700);
    try {
      await writePrivateFile(this.#file, JSON.stringify({ version: 1, packs: Object.fromEntries(all) }));
    } catch (error) {
      throw new HoldfastError(
        "STATE_UNUSABLE",
        `What was read cannot be noted in ${this.#file}: ${messageOf(error)}.`,
        {
          facts: { file: this.#file },
          remedy: "Make room in the state folder; until then a check may read the same packs again.",
          cause: error,
        },
      );
    }
  }
}

function merge(known: PackReads, reads: PackReads, isKnown: (pack: HexId) => boolean): PackReads {
  const all: PackReads = new Map();
  for (const [pack, time] of [...known, ...reads]) {
    if (isKnown(pack)) all.set(pack, Math.max(time, all.get(pack) ?? 0));
  }
  return all;
}

/** A time to come is of a clock that went wrong: such a pack counts as never read. */
function decodeReads(bytes: Buffer, nowSeconds: number): PackReads {
  const packs = storedObject(
    storedObject(parseStoredJson(bytes, "read history"), "read history")["packs"],
    "list of reads",
  );
  const reads: PackReads = new Map();
  for (const [pack, time] of Object.entries(packs)) {
    if (isHexId(pack) && typeof time === "number" && time > 0 && time <= nowSeconds) reads.set(pack, time);
  }
  return reads;
}
