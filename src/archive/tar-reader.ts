import { HoldfastError } from "../base/index.ts";
import type { TarType } from "./tar-header.ts";

// Reads what tar-archive.ts writes: ustar headers and extended (pax) ones for one member each.

const blockBytes = 512;
/** Paths, link targets and extended attributes of one member; a hostile archive takes no more memory than this. */
const extendedLimitBytes = 4 * 1024 * 1024;

const typeOfFlag: Readonly<Record<string, TarType>> = {
  "0": "file",
  "\0": "file",
  "1": "link",
  "2": "symlink",
  "3": "chardev",
  "4": "dev",
  "5": "dir",
  "6": "fifo",
};

export interface TarEntry {
  /** Raw bytes, without a slash at either end. As the archive has it: ".." is the reader's to refuse. */
  readonly path: Buffer;
  readonly type: TarType;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970, to the microsecond or so. */
  readonly modifiedAt: number;
  readonly sizeBytes: number;
  /** Target of a link. */
  readonly linkName: Buffer;
  /** Can be taken until the next entry is asked for; what is not taken is passed over. */
  readonly body: AsyncIterable<Buffer>;
}

/**
 * The members of an archive, in its order, in bounded memory.
 * @throws HoldfastError SERVER_ANSWER_INVALID: no archive, or it ends before its end
 */
export async function* readTar(archive: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const stream = new ByteStream(archive);
  try {
    let extended = new Map<string, Buffer>();
    for (;;) {
      const header = await stream.exactly(blockBytes);
      if (header.every((byte) => byte === 0)) break;
      checkSum(header);
      const flag = String.fromCharCode(header[156] ?? 0);
      const ownSize = octal(header, 124, 12);
      if (flag === "x") {
        if (ownSize > extendedLimitBytes) throw invalid(`an extended header of ${ownSize} bytes`);
        extended = paxRecords(await stream.exactly(ownSize));
        await stream.exactly(padding(ownSize));
        continue;
      }
      const type = typeOfFlag[flag];
      if (type === undefined) throw invalid(`a member of the unknown type ${JSON.stringify(flag)}`);
      const number = (name: string, offset: number, length: number): number => {
        const record = extended.get(name);
        const value = record === undefined ? octal(header, offset, length) : Number(record.toString("latin1"));
        if (!Number.isFinite(value)) throw invalid(`a header whose ${name} is no number`);
        return value;
      };
      const sizeBytes = number("size", 124, 12);
      if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw invalid("a member of no possible size");
      let left = sizeBytes;
      const body = async function* (): AsyncGenerator<Buffer> {
        while (left > 0) {
          const chunk = await stream.upTo(left);
          left -= chunk.length;
          yield chunk;
        }
      };
      yield {
        path: withoutSlashes(extended.get("path") ?? text(header, 0, 100)),
        type,
        mode: octal(header, 100, 8) & 0o7777,
        uid: number("uid", 108, 8),
        gid: number("gid", 116, 8),
        modifiedAt: number("mtime", 136, 12),
        sizeBytes,
        linkName: extended.get("linkpath") ?? text(header, 157, 100),
        body: body(),
      };
      while (left > 0) left -= (await stream.upTo(left)).length;
      await stream.exactly(padding(sizeBytes));
      extended = new Map();
    }
    // To the end, so that who sends it sees it taken whole.
    await stream.drain();
  } finally {
    await stream.close();
  }
}

const padding = (sizeBytes: number): number => (blockBytes - (sizeBytes % blockBytes)) % blockBytes;

function withoutSlashes(path: Buffer): Buffer {
  let start = 0;
  let end = path.length;
  while (end > start && path[end - 1] === 0x2f) end -= 1;
  while (start < end && path[start] === 0x2f) start += 1;
  return path.subarray(start, end);
}

function text(header: Buffer, offset: number, length: number): Buffer {
  const field = header.subarray(offset, offset + length);
  const end = field.indexOf(0);
  return Buffer.from(end === -1 ? field : field.subarray(0, end));
}

function octal(header: Buffer, offset: number, length: number): number {
  const digits = text(header, offset, length).toString("latin1").trim();
  if (!/^[0-7]*$/.test(digits)) throw invalid("a header with a number that is none");
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

function checkSum(header: Buffer): void {
  const stored = octal(header, 148, 8);
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  if (sum !== stored) throw invalid("a header whose checksum is wrong");
}

/** "LENGTH NAME=VALUE\n", one after the other. */
function paxRecords(body: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  let at = 0;
  while (at < body.length) {
    const space = body.indexOf(0x20, at);
    const length = space === -1 ? Number.NaN : Number(body.toString("latin1", at, space));
    const equals = body.indexOf(0x3d, at);
    if (!Number.isSafeInteger(length) || at + length > body.length || equals <= space || equals >= at + length) {
      throw invalid("an extended header that is broken");
    }
    records.set(body.toString("utf8", space + 1, equals), Buffer.from(body.subarray(equals + 1, at + length - 1)));
    at += length;
  }
  return records;
}

const invalid = (what: string): HoldfastError =>
  new HoldfastError("SERVER_ANSWER_INVALID", `The archive of the backup cannot be read: it has ${what}.`, {
    remedy: "Try again. If it goes on, look at the log of the server and of what stands between.",
  });

/** Takes a stream apart at places of the reader's choice. */
class ByteStream {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  async exactly(length: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let left = length;
    while (left > 0) {
      const piece = await this.upTo(left);
      pieces.push(piece);
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  /** At least one byte. */
  async upTo(length: number): Promise<Buffer> {
    while (this.#held.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) throw invalid("an end where there should be more");
      this.#held = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
    const piece = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(piece.length);
    return piece;
  }

  async drain(): Promise<void> {
    while ((await this.#chunks.next()).done !== true);
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
