import { hash } from "node:crypto";
import { envelopeOverhead, type Sealer } from "../crypto/envelope.ts";
import { type BlobType, encodePackHeader, type PackBlob, packTrailerSize } from "../pack/pack-format.ts";
import type { FinishedPack } from "./protocol.ts";

/** Bytes that a blob takes in the header, at most. */
const headerEntryBytes = 41;
const packEndBytes = envelopeOverhead + packTrailerSize;

/** id (32), envelope length (4), length of the plaintext if compressed (4), little-endian. */
const listEntryBytes = 40;

/** The list of a pack's blobs as workers hand it over: an object each would cost more than the blob's hash. */
export function encodeBlobList(blobs: readonly Omit<PackBlob, "offset">[]): Buffer {
  const list = Buffer.from(new ArrayBuffer(blobs.length * listEntryBytes));
  for (const [number, blob] of blobs.entries()) {
    const at = number * listEntryBytes;
    list.set(blob.id, at);
    list.writeUInt32LE(blob.length, at + 32);
    list.writeUInt32LE(blob.uncompressedLength, at + 36);
  }
  return list;
}

export function decodeBlobList(type: BlobType, list: Uint8Array): PackBlob[] {
  const bytes = Buffer.from(list.buffer, list.byteOffset, list.length);
  const blobs: PackBlob[] = [];
  let offset = 0;
  for (let at = 0; at < bytes.length; at += listEntryBytes) {
    const length = bytes.readUInt32LE(at + 32);
    const uncompressedLength = bytes.readUInt32LE(at + 36);
    blobs.push({ type, id: bytes.subarray(at, at + 32), offset, length, uncompressedLength });
    offset += length;
  }
  return blobs;
}

/** Fills packs with blobs of one type. `finished` takes each pack over, with its memory. */
export class PackBuilder {
  readonly #session: number;
  readonly #type: BlobType;
  readonly #sealer: Sealer;
  readonly #targetBytes: number;
  readonly #finished: (pack: FinishedPack) => void;
  #bytes: Buffer<ArrayBuffer> | undefined;
  #used = 0;
  #blobs: Omit<PackBlob, "offset">[] = [];

  constructor(options: {
    readonly session: number;
    readonly type: BlobType;
    readonly sealer: Sealer;
    readonly targetBytes: number;
    readonly finished: (pack: FinishedPack) => void;
  }) {
    this.#session = options.session;
    this.#type = options.type;
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
    this.#blobs.push({ type: this.#type, id, length, uncompressedLength });
    if (this.#used + this.#endBytes() >= this.#targetBytes) this.finish();
  }

  /** Ends the pack that is being filled, if there is one. */
  finish(): void {
    const bytes = this.#bytes;
    if (bytes === undefined) return;
    const blobs = this.#blobs;
    const headerBytes = this.#sealer.sealInto(encodePackHeader(blobs), bytes, this.#used);
    const size = bytes.writeUInt32LE(headerBytes, this.#used + headerBytes);
    const pack = bytes.subarray(0, size);
    this.#bytes = undefined;
    this.#used = 0;
    this.#blobs = [];
    const id = hash("sha256", pack, "hex");
    this.#finished({ session: this.#session, id, bytes: pack, type: this.#type, blobs: encodeBlobList(blobs) });
  }

  #endBytes(): number {
    return this.#blobs.length * headerEntryBytes + packEndBytes;
  }
}
