import { encodeIndex, type IndexedPack } from "../index/index-file.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import type { PruneIndex } from "./prune-index.ts";

const blobsPerIndex = 50_000;

/**
 * Takes packs out of the index in two steps: new files beside the old ones, which changes nothing for anybody, then the
 * removal of the old ones. Also leaves out what a killed prune left named twice.
 */
export class IndexRewrite {
  readonly #files: UnpackedFiles;
  readonly #index: PruneIndex;
  readonly #replaced: readonly HexId[];
  readonly #made: HexId[] = [];

  private constructor(files: UnpackedFiles, index: PruneIndex, replaced: readonly HexId[]) {
    this.#files = files;
    this.#index = index;
    this.#replaced = replaced;
  }

  /** Saves the new files. Killed within, it leaves packs that are named twice. */
  static async prepare(files: UnpackedFiles, index: PruneIndex, without: ReadonlySet<HexId>): Promise<IndexRewrite> {
    const replaced = new Set<HexId>();
    for (const pack of index.packs) {
      for (const file of without.has(pack.id) ? pack.files : pack.files.slice(1)) replaced.add(file);
    }
    const rewrite = new IndexRewrite(files, index, Array.from(replaced));
    const written = new Set<HexId>();
    let packs: IndexedPack[] = [];
    let blobs = 0;
    const save = async (): Promise<void> => {
      if (packs.length > 0) await rewrite.#save(packs);
      packs = [];
      blobs = 0;
    };
    for (const file of rewrite.#replaced) {
      for (const pack of (await index.fileOf(file)).packs) {
        const named = index.byId.get(pack.id)?.files.some((other) => !replaced.has(other)) ?? false;
        if (without.has(pack.id) || named || written.has(pack.id)) continue;
        written.add(pack.id);
        packs.push(pack);
        blobs += pack.blobs.length;
        if (blobs >= blobsPerIndex) await save();
      }
    }
    await save();
    return rewrite;
  }

  /** Removes the old files: from then on, nobody finds the packs. */
  async commit(): Promise<void> {
    for (const file of this.#replaced) {
      await this.#files.backend.remove({ type: "index", name: file });
      this.#index.dropFile(file);
    }
  }

  /** Removes the new files instead. */
  async abandon(): Promise<void> {
    for (const file of this.#made) {
      await this.#files.backend.remove({ type: "index", name: file });
      this.#index.dropFile(file);
    }
  }

  async #save(packs: readonly IndexedPack[]): Promise<void> {
    const id = await this.#files.save("index", encodeIndex(packs));
    this.#made.push(id);
    this.#index.addSaved(id, packs);
  }
}
