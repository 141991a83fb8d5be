import { createHash } from "node:crypto";
import { throwIfAborted } from "../../base/index.ts";
import type { Backend } from "../../storage/index.ts";
import { loadRange } from "../content/locate-blob.ts";
import { envelopeOverhead, type Sealer } from "../crypto/envelope.ts";
import { maxBlobBytes } from "../crypto/unpacked.ts";
import { isDamage } from "../damage.ts";
import { openBlob } from "../pack/blob-loader.ts";
import {
  decodePackHeader,
  decodePackTrailer,
  encodePackHeader,
  type PackBlob,
  packTrailerSize,
} from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";
import type { ExaminedPack } from "./plan-index.ts";

/** A pack is read in pieces of this size, or of a blob's. */
const pieceBytes = 8 << 20;

export interface PackToExamine {
  readonly id: HexId;
  readonly sizeBytes: number;
  /** Blobs that index files list for it; used where its own header cannot be read. */
  readonly indexed: readonly PackBlob[];
}

export interface ExaminerParts {
  readonly backend: Backend;
  readonly sealer: Sealer;
  readonly signal: AbortSignal;
}

/** Looks at packs of which nothing is believed, whatever their size. */
export class PackExaminer {
  readonly #parts: ExaminerParts;

  constructor(parts: ExaminerParts) {
    this.#parts = parts;
  }

  /** Reads the header, and only if that cannot be right the rest, too. @throws HoldfastError STORAGE_*, INTERRUPTED */
  async byHeader(pack: PackToExamine): Promise<ExaminedPack> {
    const header = await this.#header(pack);
    return header === undefined ? this.whole(pack) : soundPack(pack.id, header);
  }

  /** Opens every blob and verifies the pack's name. @throws HoldfastError STORAGE_*, INTERRUPTED */
  async whole(pack: PackToExamine): Promise<ExaminedPack> {
    const first = await this.#whole(pack);
    if (first.sound) return first;
    // A fault of memory or of the way here does not come twice; it may come the second time.
    const second = await this.#whole(pack);
    return second.sound ? second : eitherReadable(first, second);
  }

  async #whole(pack: PackToExamine): Promise<ExaminedPack> {
    const { id } = pack;
    const header = await this.#header(pack);
    const blobs = header ?? distinct(pack.indexed);
    const readable: PackBlob[] = [];
    for (const piece of piecesOf(blobs, pack.sizeBytes)) readable.push(...(await this.#readableIn(id, piece)));
    if (header !== undefined && readable.length === header.length && (await this.#matchesName(pack))) {
      return soundPack(id, header);
    }
    const lost = header === undefined && blobs.length === 0 ? undefined : blobs.length - readable.length;
    return { id, sound: false, header: undefined, readable, lost };
  }

  async #header({ id, sizeBytes }: PackToExamine): Promise<PackBlob[] | undefined> {
    const { backend, sealer } = this.#parts;
    const what = `pack ${id}`;
    try {
      const trailerAt = Math.max(0, sizeBytes - packTrailerSize);
      const trailer = await loadRange(backend, id, trailerAt, sizeBytes - trailerAt);
      const length = decodePackTrailer(trailer, sizeBytes, what);
      const headerAt = trailerAt - length;
      const header = sealer.open(await loadRange(backend, id, headerAt, length), `header of the ${what}`);
      return decodePackHeader(header, headerAt, what);
    } catch (error) {
      if (isDamage(error)) return undefined;
      throw error;
    }
  }

  async #readableIn(pack: HexId, piece: readonly PackBlob[]): Promise<PackBlob[]> {
    throwIfAborted(this.#parts.signal);
    const offset = piece[0]?.offset ?? 0;
    const end = piece.reduce((last, blob) => Math.max(last, blob.offset + blob.length), offset);
    let bytes: Buffer;
    try {
      bytes = await loadRange(this.#parts.backend, pack, offset, end - offset);
    } catch (error) {
      if (isDamage(error)) return [];
      throw error;
    }
    return piece.filter((blob) =>
      this.#opens(pack, blob, bytes.subarray(blob.offset - offset, blob.offset - offset + blob.length)),
    );
  }

  #opens(pack: HexId, { type, id, uncompressedLength }: PackBlob, envelope: Buffer): boolean {
    try {
      openBlob(this.#parts.sealer, envelope, { type, id: Buffer.from(id).toString("hex"), uncompressedLength, pack });
      return true;
    } catch (error) {
      if (isDamage(error)) return false;
      throw error;
    }
  }

  async #matchesName({ id, sizeBytes }: PackToExamine): Promise<boolean> {
    const hash = createHash("sha256");
    for (let offset = 0; offset < sizeBytes; offset += pieceBytes) {
      throwIfAborted(this.#parts.signal);
      const length = Math.min(pieceBytes, sizeBytes - offset);
      try {
        hash.update(await loadRange(this.#parts.backend, id, offset, length));
      } catch (error) {
        if (isDamage(error)) return false;
        throw error;
      }
    }
    return hash.digest("hex") === id;
  }
}

/** The blobs of a sound pack. */
export function blobsOf({ id, header }: ExaminedPack): PackBlob[] {
  return header === undefined ? [] : decodePackHeader(header.plaintext, header.blobBytes, `pack ${id}`);
}

const soundPack = (id: HexId, blobs: readonly PackBlob[]): ExaminedPack => ({
  id,
  sound: true,
  // Some 40 bytes a blob, where objects would take several times that: there may be millions.
  header: {
    plaintext: encodePackHeader(blobs),
    blobBytes: blobs.reduce((sum, { length }) => sum + length, 0),
  },
  readable: [],
  lost: 0,
});

/** Of a pack that was read twice and is not sound: what one of the readings gave. */
function eitherReadable(first: ExaminedPack, second: ExaminedPack): ExaminedPack {
  const readable = distinct([...first.readable, ...second.readable]);
  const totals = [first, second].flatMap(({ lost, readable: { length } }) =>
    lost === undefined ? [] : [lost + length],
  );
  const lost = totals.length === 0 ? undefined : Math.max(...totals, readable.length) - readable.length;
  return { ...second, readable, lost };
}

/** What several descriptions say of one pack, by offset. */
function distinct(blobs: readonly PackBlob[]): PackBlob[] {
  const known = new Map(blobs.map((blob) => [`${blob.offset} ${Buffer.from(blob.id).toString("hex")}`, blob]));
  return Array.from(known.values()).sort((a, b) => a.offset - b.offset);
}

/** Blobs that follow each other, to be read at once. Left out is what cannot be in a pack of this size. */
function* piecesOf(blobs: readonly PackBlob[], sizeBytes: number): Generator<PackBlob[]> {
  let piece: PackBlob[] = [];
  let start = 0;
  for (const blob of blobs) {
    const end = blob.offset + blob.length;
    if (end > sizeBytes || blob.length > maxBlobBytes + envelopeOverhead) continue;
    if (piece.length > 0 && end - start > pieceBytes) {
      yield piece;
      piece = [];
    }
    if (piece.length === 0) start = blob.offset;
    piece.push(blob);
  }
  if (piece.length > 0) yield piece;
}
