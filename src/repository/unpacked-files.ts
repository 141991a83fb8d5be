import type { Backend } from "../storage/index.ts";
import type { Sealer } from "./crypto/envelope.ts";
import { decodeUnpacked, encodeUnpacked } from "./crypto/unpacked.ts";
import { damaged } from "./damage.ts";
import { hexIdOf } from "./hex-id.ts";
import type { HexId } from "./repository.ts";

/** The encrypted JSON files whose name is the hash of their stored bytes. */
export type UnpackedType = "index" | "snapshot" | "lock";

/** Loads and saves index, snapshot and lock files. */
export class UnpackedFiles {
  readonly backend: Backend;
  readonly #sealer: Sealer;

  constructor(backend: Backend, sealer: Sealer) {
    this.backend = backend;
    this.#sealer = sealer;
  }

  /** The file's JSON. @throws HoldfastError STORAGE_*, REPOSITORY_DAMAGED naming the file */
  async load(type: UnpackedType, id: HexId): Promise<Buffer> {
    return this.decode(type, id, await this.backend.load({ type, name: id }));
  }

  /** The JSON in the stored bytes of a file. @throws HoldfastError REPOSITORY_DAMAGED naming the file */
  decode(type: UnpackedType, id: HexId, stored: Buffer): Buffer {
    const what = `${type} ${id}`;
    if (hexIdOf(stored) !== id) throw damaged(`The ${what} does not match its name: it was changed or cut off.`);
    return decodeUnpacked(this.#sealer.open(stored, what), what);
  }

  /** Saves JSON as a new file, durably, and returns its id. @throws HoldfastError STORAGE_* */
  async save(type: UnpackedType, json: string | Uint8Array): Promise<HexId> {
    const stored = this.#sealer.seal(encodeUnpacked(json));
    const id = hexIdOf(stored);
    await this.backend.save({ type, name: id }, stored);
    return id;
  }

  /** Ids of all files of the type. */
  async ids(type: UnpackedType): Promise<HexId[]> {
    const ids: HexId[] = [];
    for await (const { name } of this.backend.list(type)) ids.push(name);
    return ids.sort();
  }
}
