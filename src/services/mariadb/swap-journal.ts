import { open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemErrorCode } from "../../base/index.ts";
import type { SequenceDefault } from "./sequence-defaults.ts";
import type { StoredObject } from "./stored-object.ts";

/** What `stage` leaves for `swap`, in the work folder. */
export interface StageRecord {
  /** False if only some tables come back: then the database's other tables and its objects stay. */
  readonly whole: boolean;
  readonly characterSet: string;
  readonly collation: string;
  /** Tables and sequences in the staged schema. */
  readonly tables: readonly string[];
  /** Views, routines, triggers and events of the backup. */
  readonly objects: readonly StoredObject[];
  /** Columns of the staged tables with defaults that refer to the staged schema. */
  readonly sequenceDefaults: readonly SequenceDefault[];
}

/** What `swap` is about to do, and what it takes to undo it. Written before its first step. */
export interface SwapRecord {
  /** False if the database did not exist: then undoing removes it. */
  readonly existed: boolean;
  readonly characterSet: string;
  readonly collation: string;
  /** Tables and sequences of the live database that move to the old schema. */
  readonly liveTables: readonly string[];
  readonly stagedTables: readonly string[];
  /** Views, routines, triggers and events of the live database. */
  readonly objectsBefore: readonly StoredObject[];
  readonly objectsWanted: readonly StoredObject[];
  readonly characterSetWanted: string;
  readonly collationWanted: string;
}

/** The records of one restore of one database, each written as a whole and durable when `write...` resolves. */
export class SwapJournal {
  readonly #folder: string;

  constructor(workDirectory: string) {
    this.#folder = workDirectory;
  }

  readStage(): Promise<StageRecord | undefined> {
    return this.#read<StageRecord>("stage.json");
  }

  writeStage(record: StageRecord): Promise<void> {
    return this.#write("stage.json", record);
  }

  readSwap(): Promise<SwapRecord | undefined> {
    return this.#read<SwapRecord>("swap.json");
  }

  writeSwap(record: SwapRecord): Promise<void> {
    return this.#write("swap.json", record);
  }

  /** Once the swap has been undone, so that it is not undone again over what clients change from then on. */
  async removeSwap(): Promise<void> {
    await rm(join(this.#folder, "swap.json"), { force: true });
    await this.#syncFolder();
  }

  /** True once the old data is being dropped: from then on there is no way back. */
  async readSettled(): Promise<boolean> {
    return (await this.#read<true>("settled.json")) ?? false;
  }

  writeSettled(): Promise<void> {
    return this.#write("settled.json", true);
  }

  async #read<T>(name: string): Promise<T | undefined> {
    try {
      return JSON.parse(await readFile(join(this.#folder, name), "utf8")) as T;
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  async #write(name: string, value: unknown): Promise<void> {
    const path = join(this.#folder, name);
    {
      await using file = await open(`${path}.new`, "w", 0o600);
      await file.writeFile(JSON.stringify(value));
      await file.sync();
    }
    await rename(`${path}.new`, path);
    await this.#syncFolder();
  }

  async #syncFolder(): Promise<void> {
    await using folder = await open(this.#folder, "r");
    await folder.sync();
  }
}
