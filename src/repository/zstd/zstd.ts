import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import koffi from "koffi";

/** Of blobs: a level above costs a third more time and saves some percent of text. */
const level = 1;

/** zstd's window for inputs of unknown size at this level. */
const maxWindowLog = 19;
const minWindowLog = 10;

/** Compresses and decompresses single frames, on the thread that made it. */
export interface Zstd {
  /** A frame of the bytes, not empty. It is in this object's memory: good until the next call. */
  compress(bytes: Uint8Array): Uint8Array;
  /**
   * Fills `target` from the frame. @returns how many bytes the frame gave; undefined if it is damaged or gives more
   * than `target` has room for
   */
  decompress(frame: Uint8Array, target: Uint8Array): number | undefined;
}

interface Library {
  readonly estimateCompressor: (level: number) => number;
  readonly estimateDecompressor: () => number;
  readonly initCompressor: (memory: Uint8Array, size: number) => unknown;
  readonly initDecompressor: (memory: Uint8Array, size: number) => unknown;
  readonly setParameter: (context: unknown, parameter: number, value: number) => number;
  readonly bound: (size: number) => number;
  readonly compress: (
    context: unknown,
    target: Uint8Array,
    room: number,
    source: Uint8Array,
    size: number,
  ) => number | bigint;
  readonly decompress: (
    context: unknown,
    target: Uint8Array,
    room: number,
    source: Uint8Array,
    size: number,
  ) => number | bigint;
}

/** zstd as it is in Node's own program; undefined where that does not show it. */
function findLibrary(): Library | undefined {
  try {
    const program = koffi.load(null);
    // Sizes are read as signed numbers, so that zstd's errors are the negative ones.
    const oneFrame = ["void *", "void *", "uint64", "void *", "uint64"];
    return {
      estimateCompressor: program.func("ZSTD_estimateCCtxSize", "int64", ["int"]),
      estimateDecompressor: program.func("ZSTD_estimateDCtxSize", "int64", []),
      initCompressor: program.func("ZSTD_initStaticCCtx", "void *", ["void *", "uint64"]),
      initDecompressor: program.func("ZSTD_initStaticDCtx", "void *", ["void *", "uint64"]),
      setParameter: program.func("ZSTD_CCtx_setParameter", "int64", ["void *", "int", "int"]),
      bound: program.func("ZSTD_compressBound", "int64", ["uint64"]),
      compress: program.func("ZSTD_compress2", "int64", oneFrame),
      decompress: program.func("ZSTD_decompressDCtx", "int64", oneFrame),
    };
  } catch (error) {
    // koffi throws plain errors for what it does not find; Node's own functions do the same, only slower.
    if (!(error instanceof Error)) throw error;
    return undefined;
  }
}

/**
 * Calls zstd with contexts that are kept: Node's functions make one for each call, which for a small file costs ten
 * times the compression. The contexts lie in memory of this thread's heap, so that they end with the thread.
 */
class NativeZstd implements Zstd {
  readonly #library: Library;
  readonly #compressorMemory: Buffer;
  readonly #decompressorMemory: Buffer;
  readonly #compressor: unknown;
  readonly #decompressor: unknown;
  #frame = Buffer.alloc(0);

  constructor(library: Library) {
    this.#library = library;
    this.#compressorMemory = Buffer.from(new ArrayBuffer(library.estimateCompressor(level)));
    this.#decompressorMemory = Buffer.from(new ArrayBuffer(library.estimateDecompressor()));
    const compressor = library.initCompressor(this.#compressorMemory, this.#compressorMemory.length);
    const decompressor = library.initDecompressor(this.#decompressorMemory, this.#decompressorMemory.length);
    if (compressor === null || decompressor === null) {
      throw new Error("zstd does not take the memory that it asked for.");
    }
    this.#compressor = compressor;
    this.#decompressor = decompressor;
    const set = library.setParameter(compressor, constants.ZSTD_c_compressionLevel, level);
    if (set < 0) throw new Error(`zstd does not take the level ${level}.`);
  }

  compress(bytes: Uint8Array): Uint8Array {
    const room = this.#library.bound(bytes.length);
    if (this.#frame.length < room) this.#frame = Buffer.allocUnsafeSlow(room);
    const length = Number(
      this.#library.compress(this.#compressor, this.#frame, this.#frame.length, bytes, bytes.length),
    );
    if (length < 0) throw new Error(`zstd failed with ${length}.`);
    return this.#frame.subarray(0, length);
  }

  decompress(frame: Uint8Array, target: Uint8Array): number | undefined {
    const { decompress } = this.#library;
    const length = Number(decompress(this.#decompressor, target, target.length, frame, frame.length));
    return length < 0 ? undefined : length;
  }
}

/** Through Node's functions. */
export class PortableZstd implements Zstd {
  compress(bytes: Uint8Array): Uint8Array {
    // A window that just holds the input spares setting up a large one: a third of the time for 4 kB.
    const windowLog = Math.min(maxWindowLog, Math.max(minWindowLog, 32 - Math.clz32(bytes.length - 1)));
    return zstdCompressSync(bytes, {
      chunkSize: Math.max(1024, bytes.length + (bytes.length >>> 7) + 128),
      params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: windowLog },
    });
  }

  decompress(frame: Uint8Array, target: Uint8Array): number | undefined {
    try {
      const bytes = zstdDecompressSync(frame, {
        chunkSize: Math.max(64, target.length),
        maxOutputLength: Math.max(1, target.length),
      });
      if (bytes.length > target.length) return undefined;
      target.set(bytes);
      return bytes.length;
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error)) throw error;
      return undefined;
    }
  }
}

let ofThisThread: Zstd | undefined;

/** This thread's own. */
export function threadZstd(): Zstd {
  if (ofThisThread === undefined) {
    const library = findLibrary();
    ofThisThread = library === undefined ? new PortableZstd() : new NativeZstd(library);
  }
  return ofThisThread;
}
