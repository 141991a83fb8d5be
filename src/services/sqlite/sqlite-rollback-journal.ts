import { randomInt } from "node:crypto";
import { readSync, writeSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { HoldfastError } from "../../base/index.ts";

/** https://www.sqlite.org/fileformat2.html, section 3: the rollback journal. */
const magic = Buffer.from("d9d505f920a163d7", "hex");
/** What the header is padded to; any power of two from 32 that the header says. */
const sectorBytes = 512;
const flushBytes = 4 * 1024 * 1024;
/** SQLite's lock byte: the page that holds it has no content and is in no journal. */
const lockByte = 0x40000000;

/** The page, from 1, that SQLite never uses in a database of this page size. */
export const lockPage = (pageSize: number): number => Math.floor(lockByte / pageSize) + 1;

/**
 * Writes pages as they were into a rollback journal of SQLite's. Under the name DATABASE-journal it makes every process that
 * opens the database put these pages back first; so until it has that name, it does nothing.
 */
export class RollbackJournalWriter {
  readonly #file: FileHandle;
  readonly #pageSize: number;
  readonly #nonce = randomInt(2 ** 32);
  readonly #buffer: Buffer;
  #filled = 0;
  #offset = sectorBytes;
  #records = 0;

  constructor(file: FileHandle, pageSize: number) {
    this.#file = file;
    this.#pageSize = pageSize;
    const record = pageSize + 8;
    this.#buffer = Buffer.allocUnsafe(record * Math.max(1, Math.floor(flushBytes / record)));
  }

  async add(page: number, content: Uint8Array): Promise<void> {
    const buffer = this.#buffer;
    buffer.writeUInt32BE(page, this.#filled);
    buffer.set(content, this.#filled + 4);
    buffer.writeUInt32BE(checksum(this.#nonce, content), this.#filled + 4 + this.#pageSize);
    this.#filled += this.#pageSize + 8;
    this.#records += 1;
    if (this.#filled === buffer.length) await this.#flush();
  }

  /** Makes the journal complete and durable. `pages`: the size of the database to go back to. */
  async finish(pages: number): Promise<void> {
    await this.#flush();
    const header = Buffer.alloc(sectorBytes);
    magic.copy(header);
    for (const [index, value] of [this.#records, this.#nonce, pages, sectorBytes, this.#pageSize].entries())
      header.writeUInt32BE(value, 8 + index * 4);
    await writeFully(this.#file, header, 0);
    await this.#file.sync();
  }

  async #flush(): Promise<void> {
    await writeFully(this.#file, this.#buffer.subarray(0, this.#filled), this.#offset);
    this.#offset += this.#filled;
    this.#filled = 0;
  }
}

/** SQLite's: the nonce and every 200th byte from the end. */
function checksum(nonce: number, content: Uint8Array): number {
  let sum = nonce;
  for (let at = content.length - 200; at > 0; at -= 200) sum += content[at] ?? 0;
  return sum >>> 0;
}

/** Where in a journal's file each page is, and how many pages the database had. */
export interface JournalIndex {
  readonly pages: number;
  readonly offsets: ReadonlyMap<number, number>;
}

/** @throws HoldfastError RECOVERY_FAILED if it is no complete journal of this page size */
export async function readJournalIndex(file: FileHandle, path: string, pageSize: number): Promise<JournalIndex> {
  const { size } = await file.stat();
  const header = Buffer.alloc(28);
  await file.read(header, 0, header.length, 0);
  const [records = 0, , pages = 0, sector = 0, pageBytes = 0] = [8, 12, 16, 20, 24].map((at) =>
    header.readUInt32BE(at),
  );
  const stride = pageSize + 8;
  const complete = header.subarray(0, 8).equals(magic) && pageBytes === pageSize && size === sector + records * stride;
  if (!complete) {
    throw new HoldfastError("RECOVERY_FAILED", `${path}, which keeps the old pages of a database, is damaged.`, {
      facts: { path },
      remedy: "Restore the database from a backup.",
    });
  }
  const offsets = new Map<number, number>();
  const perRead = Math.max(1, Math.floor(flushBytes / stride));
  const buffer = Buffer.allocUnsafe(perRead * stride);
  for (let first = 0; first < records; first += perRead) {
    const count = Math.min(perRead, records - first);
    await readFully(file, buffer.subarray(0, count * stride), sector + first * stride);
    for (let index = 0; index < count; index += 1)
      offsets.set(buffer.readUInt32BE(index * stride), sector + (first + index) * stride + 4);
  }
  return { pages, offsets };
}

export async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;)
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
}

export async function readFully(file: FileHandle, into: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < into.length;) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done);
    if (bytesRead === 0) throw endsEarly(position + into.length);
    done += bytesRead;
  }
}

export function writeFullySync(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}

export function readFullySync(fd: number, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.length;) {
    const bytesRead = readSync(fd, into, done, into.length - done, position + done);
    if (bytesRead === 0) throw endsEarly(position + into.length);
    done += bytesRead;
  }
}

function endsEarly(offset: number): Error {
  return new Error(`The file ends before offset ${offset}.`);
}
