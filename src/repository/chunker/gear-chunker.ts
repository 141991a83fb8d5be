import { hkdfSync } from "node:crypto";
import { readFileSync } from "node:fs";
import type { MasterKey } from "../crypto/envelope.ts";

/** Sizes of chunks in bytes: none but a file's last is below `min`; they gather around `normal`. */
export const chunkBytes = { min: 512 << 10, normal: 1 << 20, max: 8 << 20 } as const;

const tableBytes = 256 * 8;

/**
 * 256 words of 64 bits, derived from the repository's key: the same for all time in one repository, and unknown to who
 * has not the key, so that the sizes of stored chunks tell nothing about known content.
 */
export function gearTable(key: MasterKey): Uint8Array {
  const secret = Buffer.concat([key.encrypt, key.macK, key.macR]);
  return new Uint8Array(hkdfSync("sha256", secret, "", "holdfast gear table 1", tableBytes));
}

// TypeScript has these only in the browser's library.
interface WasmModule {
  readonly wasmModule: never;
}
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (module: WasmModule) => { readonly exports: unknown };
};

interface ChunkerExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly bufferOffset: { readonly value: number };
  reset(): void;
  pending(): number;
  scan(at: number, end: number): number;
}

let compiled: WasmModule | undefined;

function compiledModule(): WasmModule {
  compiled ??= new WebAssembly.Module(readFileSync(new URL("./gear-chunker.wasm", import.meta.url)));
  return compiled;
}

/**
 * Finds where chunks end. The bytes lie in `buffer`, which is WebAssembly memory (16 MiB): read straight into it. The
 * whole of the chunk that is being scanned must stay there, ahead of the bytes that follow it.
 */
export class GearChunker {
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly #exports: ChunkerExports;
  readonly #base: number;

  constructor(table: Uint8Array) {
    if (table.length !== tableBytes) throw new RangeError(`A gear table has ${tableBytes} bytes.`);
    this.#exports = new WebAssembly.Instance(compiledModule()).exports as ChunkerExports;
    this.#base = this.#exports.bufferOffset.value;
    const memory = this.#exports.memory.buffer;
    new Uint8Array(memory, 0, tableBytes).set(table);
    this.buffer = new Uint8Array(memory, this.#base, 16 << 20);
  }

  /** Forgets the chunk that was being scanned. */
  reset(): void {
    this.#exports.reset();
  }

  /** Bytes scanned since the last cut. */
  get pendingBytes(): number {
    return this.#exports.pending();
  }

  /**
   * Scans the next bytes, those of `buffer` in [at, end). Returns the position after the chunk's last byte (the next
   * call goes on from there), or 0 if the chunk goes on beyond `end`.
   */
  scan(at: number, end: number): number {
    if (at < this.pendingBytes || end < at || end > this.buffer.length) throw new RangeError("Outside the buffer.");
    const cut = this.#exports.scan(this.#base + at, this.#base + end) >>> 0;
    return cut === 0 ? 0 : cut - this.#base;
  }
}
