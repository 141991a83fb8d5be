import { envelopeOverhead } from "../crypto/envelope.ts";
import { damaged, parseStoredJson, storedObject } from "../damage.ts";
import { isHexId } from "../hex-id.ts";
import type { PackBlob } from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";
import { decodeMarks, type PackMarks } from "./pack-marks.ts";

/** What an index file is to say of one pack. All blobs of a pack are in one index file. */
export interface PackToIndex {
  readonly id: HexId;
  readonly blobs: Iterable<PackBlob> & { readonly length: number };
}

/** What an index file says of one pack. */
export interface IndexedPack extends PackToIndex {
  readonly blobs: readonly PackBlob[];
}

/** Bytes of JSON that a pack takes besides its blobs, and a blob takes, at most. */
const maxPackBytes = 128;
const maxBlobBytes = 192;

const hexOf = (id: Uint8Array): string => Buffer.from(id.buffer, id.byteOffset, id.length).toString("hex");

/** The JSON of an index file, to be stored with `encodeUnpacked`. */
export function encodeIndex(packs: readonly PackToIndex[]): Buffer {
  // Straight into memory: as strings it takes several times as much.
  const room = packs.reduce((sum, { blobs }) => sum + maxPackBytes + blobs.length * maxBlobBytes, maxPackBytes);
  const json = Buffer.allocUnsafeSlow(room);
  let at = json.write('{"packs":[', "latin1");
  for (const [number, { id, blobs }] of packs.entries()) {
    at += json.write(`${number === 0 ? "" : ","}{"id":"${id}","blobs":[`, at, "latin1");
    let separator = "";
    for (const blob of blobs) {
      at += json.write(separator + encodeBlob(blob), at, "latin1");
      separator = ",";
    }
    at += json.write("]}", at, "latin1");
  }
  at += json.write("]}\n", at, "latin1");
  return json.subarray(0, at);
}

function encodeBlob(blob: PackBlob): string {
  const uncompressed = blob.uncompressedLength > 0 ? `,"uncompressed_length":${blob.uncompressedLength}` : "";
  return `{"id":"${hexOf(blob.id)}","type":"${blob.type}","offset":${blob.offset},"length":${blob.length}${uncompressed}}`;
}

/** What one index file holds. */
export interface IndexFile {
  readonly packs: readonly IndexedPack[];
  readonly marks?: PackMarks;
  /** rustic's own marks, of packs that it takes out of the index before it deletes them. */
  readonly packsToDelete: boolean;
}

/** @throws HoldfastError REPOSITORY_DAMAGED naming `what` ("index 12ab...") */
export function decodeIndexFile(json: Uint8Array, what: string): IndexFile {
  const stored = storedObject(parseStoredJson(json, what), what);
  const { holdfast_marks: marks, packs_to_delete: packsToDelete } = stored;
  return {
    packs: decodePacks(stored["packs"], what),
    ...(marks === undefined ? {} : { marks: decodeMarks(marks, what) }),
    packsToDelete: Array.isArray(packsToDelete) && packsToDelete.length > 0,
  };
}

/** The packs alone. @throws HoldfastError REPOSITORY_DAMAGED naming `what` */
export function decodeIndex(json: Uint8Array, what: string): readonly IndexedPack[] {
  return decodeIndexFile(json, what).packs;
}

function decodePacks(packs: unknown, what: string): IndexedPack[] {
  // Go writes null for an empty list.
  if (packs === null || packs === undefined) return [];
  if (!Array.isArray(packs)) throw damaged(`The ${what} has no list of packs.`);
  return packs.map((value: unknown) => {
    const { id, blobs } = storedObject(value, `pack entry of the ${what}`);
    if (!isHexId(id)) throw damaged(`The ${what} names a pack without an id.`);
    if (blobs === null || blobs === undefined) return { id, blobs: [] };
    if (!Array.isArray(blobs)) throw damaged(`The ${what} has no list of blobs for the pack ${id}.`);
    return { id, blobs: blobs.map((blob: unknown) => decodeBlob(blob, id, what)) };
  });
}

function decodeBlob(value: unknown, pack: HexId, what: string): PackBlob {
  const blob = storedObject(value, `blob entry of the ${what}`);
  const { id, type, offset, length, uncompressed_length: uncompressedLength = 0 } = blob;
  if (
    !isHexId(id) ||
    (type !== "data" && type !== "tree") ||
    !isUint32(offset) ||
    !isUint32(length) ||
    !isUint32(uncompressedLength) ||
    length < envelopeOverhead ||
    offset + length > 0xffff_ffff
  ) {
    throw damaged(`The ${what} has a malformed blob in the pack ${pack}.`);
  }
  return { type, id: Buffer.from(id, "hex"), offset, length, uncompressedLength };
}

function isUint32(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
}
