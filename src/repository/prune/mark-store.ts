import { HoldfastError } from "../../base/index.ts";
import { encodeMarks, type PackMarks, splitMarks } from "../index/pack-marks.ts";
import type { RepositoryLock } from "../lock/repository-lock.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import type { PruneIndex } from "./prune-index.ts";

/**
 * A mark's time is compared with the times at which other machines' processes began. So far their clocks may be apart, and
 * so long may the saving of a mark take.
 */
export const clockMarginMs = 60 * 60_000;

/** Saves and removes marks. A file of marks is never changed: a new one is saved, then the old one removed. */
export class MarkStore {
  readonly #files: UnpackedFiles;
  readonly #index: PruneIndex;
  readonly #lock: RepositoryLock;

  constructor(files: UnpackedFiles, index: PruneIndex, lock: RepositoryLock) {
    this.#files = files;
    this.#index = index;
    this.#lock = lock;
  }

  /** Marks packs as unneeded from now on. */
  async add(ids: readonly HexId[]): Promise<void> {
    if (ids.length === 0) return;
    const time = new Date();
    const isIndexed = (id: HexId): boolean => this.#index.byId.has(id);
    const made = await this.#save({ time, packs: ids.filter(isIndexed), orphans: ids.filter((id) => !isIndexed(id)) });
    try {
      this.#lock.confirm();
      if (Date.now() - time.getTime() < clockMarginMs / 2) return;
      throw new HoldfastError("STORAGE_TRANSIENT", `Marking packs at ${this.#files.backend.location} took too long.`, {
        remedy: "Run the command again.",
      });
    } catch (error) {
      // Who began meanwhile may not have seen marks that say they were there.
      for (const name of made) await this.#files.backend.remove({ type: "index", name });
      throw error;
    }
  }

  /** Leaves out marks of packs that are needed, gone, or no longer what they were marked as. */
  async tidy(needed: ReadonlySet<HexId>, exists: (id: HexId) => boolean): Promise<void> {
    for (const [file, { time, packs, orphans }] of Array.from(this.#index.markFiles)) {
      const kept = {
        time,
        packs: packs.filter((id) => exists(id) && !needed.has(id)),
        orphans: orphans.filter((id) => exists(id) && !this.#index.byId.has(id)),
      };
      if (kept.packs.length === packs.length && kept.orphans.length === orphans.length) continue;
      await this.#save(kept);
      this.#index.markFiles.delete(file);
      await this.#files.backend.remove({ type: "index", name: file });
    }
  }

  async #save(marks: PackMarks): Promise<HexId[]> {
    const made: HexId[] = [];
    for (const part of splitMarks(marks)) {
      const id = await this.#files.save("index", encodeMarks(part));
      made.push(id);
      this.#index.addMarks(id, part);
    }
    return made;
  }
}
