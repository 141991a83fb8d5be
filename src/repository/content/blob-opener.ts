import { hash } from "node:crypto";
import type { Sealer } from "../crypto/envelope.ts";
import { envelopeOverhead } from "../crypto/envelope.ts";
import { maxBlobBytes } from "../crypto/unpacked.ts";
import { damaged } from "../damage.ts";
import type { HexId } from "../repository.ts";
import { freeMemory } from "../workers/free-memory.ts";
import { threadZstd } from "../zstd/zstd.ts";
import type { EncodedWrite } from "./blob-writes.ts";

/** Up to this size plaintexts are in memory that is used again; above it the cipher makes new memory anyway. */
const keptBytes = 32 << 10;

/** Opens many data blobs on one thread with little new memory. */
export class BlobOpener {
  readonly #sealer: Sealer;
  readonly #small = Buffer.allocUnsafeSlow(keptBytes);
  #decompressed = Buffer.allocUnsafeSlow(keptBytes);

  constructor(sealer: Sealer) {
    this.#sealer = sealer;
  }

  /** The verified plaintext of a blob within `bytes` of its pack, good until the next call. @throws HoldfastError REPOSITORY_DAMAGED */
  open(bytes: Uint8Array, pack: HexId, blob: EncodedWrite): Buffer {
    const { offset, length, uncompressedLength } = blob;
    if (offset + length > bytes.length) throw this.#damaged(pack, blob, "lies beyond the end of the pack");
    const opened = this.#unseal(bytes.subarray(offset, offset + length), pack, blob);
    const plaintext = uncompressedLength > 0 ? this.#decompress(opened, pack, blob) : opened;
    if (!hash("sha256", plaintext, "buffer").equals(blob.id))
      throw this.#damaged(pack, blob, "does not match its hash");
    return plaintext;
  }

  #unseal(sealed: Uint8Array, pack: HexId, blob: EncodedWrite): Buffer {
    try {
      if (sealed.length - envelopeOverhead > keptBytes) return this.#sealer.open(sealed);
      return this.#small.subarray(0, this.#sealer.openInto(sealed, this.#small, 0));
    } catch (error) {
      throw this.#damaged(pack, blob, "cannot be decrypted", error);
    }
  }

  /** Never more than the index says, whatever the frame says of itself. */
  #decompress(frame: Buffer, pack: HexId, blob: EncodedWrite): Buffer {
    const length = blob.uncompressedLength;
    if (length > maxBlobBytes) throw this.#damaged(pack, blob, `claims to have ${length} bytes`);
    if (this.#decompressed.length < length) this.#decompressed = Buffer.allocUnsafeSlow(length);
    const plaintext = this.#decompressed.subarray(0, length);
    const given = threadZstd().decompress(frame, plaintext);
    if (frame.buffer !== this.#small.buffer) freeMemory(frame);
    if (given !== length)
      throw this.#damaged(pack, blob, `cannot be decompressed to the ${length} bytes it should have`);
    return plaintext;
  }

  #damaged(pack: HexId, { id }: EncodedWrite, what: string, cause?: unknown): Error {
    const blob = Buffer.from(id).toString("hex");
    return damaged(`The data blob ${blob} in the pack ${pack} ${what}.`, { blob, pack }, cause);
  }

  /** Says that a plaintext is no longer needed, where that frees its memory at once. */
  release(plaintext: Buffer): void {
    if (plaintext.buffer !== this.#small.buffer && plaintext.buffer !== this.#decompressed.buffer)
      freeMemory(plaintext);
  }
}
