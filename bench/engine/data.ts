import { createCipheriv } from "node:crypto";
import { closeSync, mkdirSync, openSync, readdirSync, statSync, utimesSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";

const pieceBytes = 1 << 20;
const mib = 1 << 20;

/** Bytes that no compression makes smaller; the same for the same seed. */
class Noise {
  readonly #cipher;

  constructor(seed: number) {
    const key = Buffer.alloc(32);
    key.writeUInt32LE(seed);
    this.#cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
  }

  bytes(length: number): Buffer {
    return this.#cipher.update(Buffer.alloc(length));
  }
}

const names = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Dennis", "Margaret", "Ken"];
const states = ["new", "paid", "packed", "shipped", "returned"];

/** Rows as a database's dump has them: some words come again, numbers, times and hashes do not. */
export class SqlText {
  readonly #noise: Noise;
  #id = 0;

  constructor(seed: number) {
    this.#noise = new Noise(seed);
    this.#id = seed * 1_000_000;
  }

  bytes(length: number): Buffer {
    let text = "";
    while (text.length < length) {
      const random = this.#noise.bytes(1024);
      for (let at = 0; at < random.length; at += 16) {
        this.#id += 1;
        const word = random.readUInt32LE(at);
        const name = names[word % names.length] as string;
        const time = new Date(1_700_000_000_000 + (random.readUInt32LE(at + 4) % 30_000_000) * 1000).toISOString();
        text +=
          `INSERT INTO "public"."orders" VALUES (${this.#id}, '${name} ${names[(word >>> 8) % names.length]}', ` +
          `'${name.toLowerCase()}.${(word >>> 4) % 9973}@example.org', '${states[(word >>> 16) % states.length]}', ` +
          `${((word >>> 3) % 100_000) / 100}, '${time}', '${random.toString("hex", at + 8, at + 16)}');\n`;
      }
    }
    return Buffer.from(text.slice(0, length), "latin1");
  }
}

interface Bytes {
  bytes(length: number): Buffer;
}

const kindOf = (number: number, seed: number): Bytes => (number % 2 === 0 ? new Noise(seed) : new SqlText(seed));

export interface DataSize {
  readonly largeFiles: number;
  readonly largeFileBytes: number;
  readonly folders: number;
  readonly filesInFolder: number;
}

/** At scale 1: 2 GiB in 32 files, and 100,000 files in 500 folders. Fewer files and folders at a smaller one. */
export function dataSize(scale: number): DataSize {
  const whole = (full: number, least: number): number => Math.max(least, Math.round(full * scale));
  return { largeFiles: whole(32, 2), largeFileBytes: 64 * mib, folders: whole(500, 2), filesInFolder: 200 };
}

/** Half noise, half SQL text. */
export function makeLargeFiles(folder: string, size: DataSize): void {
  mkdirSync(folder, { recursive: true });
  for (let number = 0; number < size.largeFiles; number += 1) {
    const source = kindOf(number, number + 1);
    const fd = openSync(path.join(folder, `large-${number}.${number % 2 === 0 ? "bin" : "sql"}`), "w");
    for (let done = 0; done < size.largeFileBytes; done += pieceBytes) writeSync(fd, source.bytes(pieceBytes));
    closeSync(fd);
  }
}

/** Files of 2 to 6 kB, half noise (pictures), half text (pages). */
export function makeSmallFiles(folder: string, size: DataSize): void {
  const sources = [new Noise(1_000_001), new SqlText(1_000_002)];
  const lengths = new Noise(1_000_003);
  for (let number = 0; number < size.folders; number += 1) {
    const directory = path.join(folder, `folder-${String(number).padStart(3, "0")}`);
    mkdirSync(directory, { recursive: true });
    const random = lengths.bytes(size.filesInFolder * 2);
    for (let file = 0; file < size.filesInFolder; file += 1) {
      const bytes = (sources[file % 2] as Bytes).bytes(2048 + (random.readUInt16LE(file * 2) % 4096));
      writeFileSync(path.join(directory, `file-${file}.${file % 2 === 0 ? "jpg" : "html"}`), bytes);
    }
  }
}

/**
 * Changes one hundredth of the tree below `root` ("large", "small"): a piece of each large file, each 100th small one.
 * Times of what is changed are in the past, as of `settleTimes`; everything else is left alone.
 */
export function changeHundredth(root: string, seed: number): void {
  const large = path.join(root, "large");
  for (const [number, name] of readdirSync(large).toSorted().entries()) {
    const file = path.join(large, name);
    const { size } = statSync(file);
    const length = Math.floor(size / 100);
    const bytes = kindOf(name.endsWith(".bin") ? 0 : 1, 2_000_000 + seed * 1000 + number).bytes(length);
    const fd = openSync(file, "r+");
    writeSync(fd, bytes, 0, length, (length * ((seed * 37 + number) % 90)) % (size - length));
    closeSync(fd);
    settleTime(file);
  }
  const small = path.join(root, "small");
  const noise = new Noise(3_000_000 + seed);
  let number = seed;
  for (const folder of readdirSync(small).toSorted()) {
    for (const name of readdirSync(path.join(small, folder)).toSorted()) {
      number += 1;
      if (number % 100 !== 0) continue;
      writeFileSync(path.join(small, folder, name), noise.bytes(4096));
      settleTime(path.join(small, folder, name));
    }
  }
}

/** Times in the past: what was written a moment ago cannot be told from what is being written. */
export function settleTimes(root: string): void {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) settleTime(path.join(entry.parentPath, entry.name));
  }
}

function settleTime(file: string): void {
  const past = new Date(Date.now() - 86_400_000);
  utimesSync(file, past, past);
}
