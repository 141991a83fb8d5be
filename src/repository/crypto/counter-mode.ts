import { type Cipheriv, createCipheriv } from "node:crypto";
import koffi from "koffi";

/** Encrypts and decrypts (it is the same) with AES-256 in counter mode, under one key, on the thread that made it. */
export interface CounterMode {
  /** Writes `input`, encrypted from the counter block `iv` (16 bytes) on, to `output`, of the same length. */
  crypt(iv: Uint8Array, input: Uint8Array, output: Uint8Array): void;
}

interface Library {
  /** This thread's cipher; its key is set anew for each call. It lasts as long as the process: 200 bytes a thread. */
  readonly context: unknown;
  readonly init: (context: unknown, cipher: null, engine: null, key: Uint8Array, iv: Uint8Array) => number;
  readonly update: (
    context: unknown,
    output: Uint8Array,
    outputLength: Uint8Array,
    input: Uint8Array,
    length: number,
  ) => number;
}

/** OpenSSL as it is in Node's own program (EVP_EncryptInit(3)); undefined where that does not show it. */
function findLibrary(): Library | undefined {
  try {
    const program = koffi.load(null);
    const newContext = program.func("EVP_CIPHER_CTX_new", "void *", []);
    const cipher = program.func("EVP_aes_256_ctr", "void *", []);
    const init = program.func("EVP_EncryptInit_ex", "int", ["void *", "void *", "void *", "void *", "void *"]);
    const update = program.func("EVP_EncryptUpdate", "int", ["void *", "void *", "void *", "void *", "int"]);
    const context: unknown = newContext();
    // Naming the cipher once spares looking it up for each envelope.
    if (context === null || init(context, cipher(), null, null, null) !== 1) return undefined;
    return { context, init, update };
  } catch (error) {
    // koffi throws plain errors for what it does not find; Node's own functions do the same, only slower.
    if (!(error instanceof Error)) throw error;
    return undefined;
  }
}

/** Bytes a call: OpenSSL takes lengths as 32-bit numbers. */
const callBytes = 1 << 30;

/** Without Node's copies: a new cipher object costs as much as 100 kB, and its output is memory of its own. */
class NativeCounterMode implements CounterMode {
  readonly #library: Library;
  readonly #key: Uint8Array;
  readonly #written = Buffer.alloc(4);

  constructor(library: Library, key: Uint8Array) {
    this.#library = library;
    this.#key = Uint8Array.from(key);
  }

  crypt(iv: Uint8Array, input: Uint8Array, output: Uint8Array): void {
    checkSizes(iv, input, output);
    const { context, init, update } = this.#library;
    if (init(context, null, null, this.#key, iv) !== 1) throw new Error("OpenSSL does not take the key.");
    for (let at = 0; at < input.length; at += callBytes) {
      const piece = input.subarray(at, at + callBytes);
      if (update(context, output.subarray(at), this.#written, piece, piece.length) !== 1) {
        throw new Error("OpenSSL does not encrypt.");
      }
    }
  }
}

/** Up to this size the counter stream of the long-lived cipher is cheaper than a new cipher (48 µs). */
const smallLimit = 32 * 1024;
const blockSize = 16;

function swap32(value: number): number {
  return ((value >>> 24) | ((value >>> 8) & 0xff00) | ((value & 0xff00) << 8) | (value << 24)) >>> 0;
}

function littleEndianMachine(): boolean {
  return new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;
}

/** Through Node's functions. */
export class PortableCounterMode implements CounterMode {
  readonly #key: Uint8Array;
  /** AES-256-ECB over counter blocks is the CTR stream. */
  readonly #counterCipher: Cipheriv;
  // 32-bit views need aligned memory, which callers' buffers are not: the XOR happens in these two.
  readonly #counters = new Uint32Array(smallLimit / 4);
  readonly #counterBytes = Buffer.from(this.#counters.buffer);
  readonly #work = new Uint32Array(smallLimit / 4);
  readonly #workBytes = Buffer.from(this.#work.buffer);

  constructor(key: Uint8Array) {
    if (!littleEndianMachine()) throw new TypeError("Big-endian machines are not supported.");
    this.#key = key;
    this.#counterCipher = createCipheriv("aes-256-ecb", key, null).setAutoPadding(false);
  }

  crypt(iv: Uint8Array, input: Uint8Array, output: Uint8Array): void {
    checkSizes(iv, input, output);
    if (input.length > smallLimit) {
      output.set(createCipheriv("aes-256-ctr", this.#key, iv).update(input));
      return;
    }
    if (input.length === 0) return;
    const stream = this.#counterStream(Buffer.from(iv), Math.ceil(input.length / blockSize));
    const work = this.#work;
    this.#workBytes.set(input);
    const words = (input.length + 3) >>> 2;
    for (let at = 0; at < words; at += 1) work[at] = (work[at] as number) ^ (stream[at] as number);
    output.set(this.#workBytes.subarray(0, input.length));
  }

  #counterStream(iv: Buffer, blocks: number): Uint32Array {
    const counters = this.#counters;
    let w0 = iv.readUInt32LE(0);
    let w1 = iv.readUInt32LE(4);
    let w2 = iv.readUInt32LE(8);
    let low = iv.readUInt32BE(12);
    for (let at = 0; at < blocks * 4; at += 4) {
      counters[at] = w0;
      counters[at + 1] = w1;
      counters[at + 2] = w2;
      counters[at + 3] = swap32(low);
      low = (low + 1) >>> 0;
      if (low !== 0) continue;
      // The counter is one big-endian number of 128 bits: carry into the higher words.
      w2 = swap32((swap32(w2) + 1) >>> 0);
      if (w2 !== 0) continue;
      w1 = swap32((swap32(w1) + 1) >>> 0);
      if (w1 === 0) w0 = swap32((swap32(w0) + 1) >>> 0);
    }
    const stream = this.#counterCipher.update(this.#counterBytes.subarray(0, blocks * blockSize));
    if (stream.byteOffset % 4 === 0) return new Uint32Array(stream.buffer, stream.byteOffset, blocks * 4);
    return new Uint32Array(Uint8Array.from(stream).buffer);
  }
}

function checkSizes(iv: Uint8Array, input: Uint8Array, output: Uint8Array): void {
  if (iv.length !== blockSize || input.length !== output.length) {
    throw new RangeError(`Cannot encrypt ${input.length} bytes into ${output.length} with ${iv.length} of IV.`);
  }
}

let ofThisThread: { readonly library: Library | undefined } | undefined;

/** The fastest that there is here. `key` has 32 bytes. */
export function counterMode(key: Uint8Array): CounterMode {
  ofThisThread ??= { library: findLibrary() };
  const { library } = ofThisThread;
  return library === undefined ? new PortableCounterMode(key) : new NativeCounterMode(library, key);
}
