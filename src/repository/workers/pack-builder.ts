import { hash } from "node:crypto";
import { envelopeOverhead, type Sealer } from "../crypto/envelope.ts";
import { BlobListBuilder } from "../pack/blob-list.ts";
import { type BlobType, encodePackHeader, packTrailerSize } from "../pack/pack-format.ts";
import type { FinishedPack } from "./protocol.ts";

/** Bytes that a blob takes in the header, at most. */
const headerEntryBytes = 41;
const packEndBytes = envelopeOverhead + packTrailerSize;

/** Fills packs with blobs of one type. `finished` takes each pack over, with its memory. */
export class PackBuilder {
  readonly #session: number;
  readonly #type: BlobType;
  readonly #sealer: Sealer;
  readonly #targetBytes: number;
  readonly #finished: (pack: FinishedPack) => void;
  #bytes: Buffer<ArrayBuffer> | undefined;
  #used = 0;
  readonly #blobs: BlobListBuilder;

  constructor(options: {
    readonly session: number;
    readonly type: BlobType;
    readonly sealer: Sealer;
    readonly targetBytes: number;
    readonly finished: (pack: FinishedPack) => void;
  }) {
    this.#session = options.session;
    this.#type = options.type;
    this.#blobs = new BlobListBuilder(options.type);
    this.#sealer = options.sealer;
    this.#targetBytes = options.targetBytes;
    this.#finished = options.finished;
  }

  /** `payload` is the plaintext, or a zstd frame of `uncompressedLength` bytes of it. */
  add(id: Uint8Array, payload: Uint8Array, uncompressedLength: number): void {
    const sealedBytes = payload.length + envelopeOverhead;
    const bytes = this.#roomFor(sealedBytes);
    this.#sealer.sealInto(payload, bytes, this.#used);
    this.#added(id, sealedBytes, uncompressedLength);
  }

  /** An envelope from another pack, as it is: nothing in it depends on where it lies. */
  addSealed(id: Uint8Array, envelope: Uint8Array, uncompressedLength: number): void {
    this.#roomFor(envelope.length).set(envelope, this.#used);
    this.#added(id, envelope.length, uncompressedLength);
  }

  #roomFor(sealedBytes: number): Buffer {
    const needed = sealedBytes + headerEntryBytes;
    if (this.#bytes !== undefined && this.#used + this.#endBytes() + needed > this.#bytes.length) this.finish();
    // Little more than a target's worth, as all of it may be cleared, and so taken from the system, before it is filled:
    // a blob that no longer fits begins the next pack.
    const room = this.#targetBytes + (this.#targetBytes >>> 5);
    this.#bytes ??= Buffer.from(new ArrayBuffer(Math.max(room, needed + packEndBytes)));
    return this.#bytes;
  }

  #added(id: Uint8Array, length: number, uncompressedLength: number): void {
    this.#used += length;
    this.#blobs.add(id, length, uncompressedLength);
    if (this.#used + this.#endBytes() >= this.#targetBytes) this.finish();
  }

  /** Ends the pack that is being filled, if there is one. */
  finish(): void {
    const bytes = this.#bytes;
    if (bytes === undefined) return;
    const blobs = this.#blobs.take();
    const headerBytes = this.#sealer.sealInto(encodePackHeader(blobs), bytes, this.#used);
    const size = bytes.writeUInt32LE(headerBytes, this.#used + headerBytes);
    const pack = bytes.subarray(0, size);
    this.#bytes = undefined;
    this.#used = 0;
    const id = hash("sha256", pack, "hex");
    this.#finished({ session: this.#session, id, bytes: pack, type: this.#type, blobs: blobs.bytes });
  }

  #endBytes(): number {
    return this.#blobs.length * headerEntryBytes + packEndBytes;
  }
}
