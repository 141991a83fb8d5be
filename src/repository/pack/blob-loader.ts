import { hash } from "node:crypto";
import { isHoldfastError } from "../../base/index.ts";
import type { Backend } from "../../storage/index.ts";
import type { Sealer } from "../crypto/envelope.ts";
import { maxBlobBytes } from "../crypto/unpacked.ts";
import { damaged } from "../damage.ts";
import { type LoadedIndex, locateForReading } from "../index/load-index.ts";
import type { HexId } from "../repository.ts";
import { threadZstd } from "../zstd/zstd.ts";
import type { BlobType } from "./pack-format.ts";

/** Loads single blobs on the calling thread; for trees. Files' contents go through the workers. */
export class BlobLoader {
  readonly #backend: Backend;
  readonly #sealer: Sealer;
  readonly #index: LoadedIndex;

  constructor(backend: Backend, sealer: Sealer, index: LoadedIndex) {
    this.#backend = backend;
    this.#sealer = sealer;
    this.#index = index;
  }

  /** The blob's plaintext, its hash verified. @throws HoldfastError STORAGE_*, REPOSITORY_DAMAGED naming blob and pack */
  async load(type: BlobType, id: HexId): Promise<Buffer> {
    const location = locateForReading(this.#index, type, Buffer.from(id, "hex"));
    const pack = location === undefined ? undefined : this.#index.packs[location.pack];
    if (location === undefined || pack === undefined) {
      throw damaged(`The ${type} blob ${id} is in no index.`, { blob: id });
    }
    let sealed: Buffer;
    try {
      const { offset, length } = location;
      sealed = await this.#backend.load({ type: "data", name: pack }, { offset, length });
    } catch (error) {
      const lost = isHoldfastError(error, "STORAGE_NOT_FOUND") || isHoldfastError(error, "STORAGE_RANGE");
      if (!lost) throw error;
      throw damaged(`The pack ${pack} with the ${type} blob ${id} is missing or too short.`, { blob: id, pack }, error);
    }
    return openBlob(this.#sealer, sealed, { type, id, uncompressedLength: location.uncompressedLength, pack });
  }
}

/** What is known of a blob whose envelope was loaded. */
export interface ExpectedBlob {
  readonly type: BlobType;
  readonly id: HexId;
  readonly uncompressedLength: number;
  /** For messages. */
  readonly pack: HexId;
}

/** Decrypts, decompresses and verifies a blob. @throws HoldfastError REPOSITORY_DAMAGED naming blob and pack */
export function openBlob(sealer: Sealer, sealed: Uint8Array, expected: ExpectedBlob): Buffer {
  const { type, id, uncompressedLength, pack } = expected;
  const what = `${type} blob ${id} in the pack ${pack}`;
  let plaintext = sealer.open(sealed, what);
  if (uncompressedLength > 0) {
    if (uncompressedLength > maxBlobBytes) throw damaged(`The ${what} claims to have ${uncompressedLength} bytes.`);
    plaintext = decompressBlob(plaintext, uncompressedLength, what);
  }
  if (hash("sha256", plaintext, "hex") !== id)
    throw damaged(`The ${what} does not match its hash.`, { blob: id, pack });
  return plaintext;
}

/** Never more than `length` bytes: the index says how long the blob is, whatever the frame says of itself. */
function decompressBlob(frame: Uint8Array, length: number, what: string): Buffer {
  const plaintext = Buffer.allocUnsafeSlow(length);
  const given = threadZstd().decompress(frame, plaintext);
  if (given === undefined) throw damaged(`The ${what} cannot be decompressed to the ${length} bytes it should have.`);
  if (given !== length) throw damaged(`The ${what} has not the length it should have.`);
  return plaintext;
}
