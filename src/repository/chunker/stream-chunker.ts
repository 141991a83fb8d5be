import { GearChunker } from "./gear-chunker.ts";

/** Cuts bytes that are handed in piece by piece. The chunks' memory is their own, so that it can be transferred. */
export class StreamChunker {
  readonly #chunker: GearChunker;
  #end = 0;

  constructor(table: Uint8Array) {
    this.#chunker = new GearChunker(table);
  }

  /** Takes bytes in; yields the chunks that they complete. */
  *push(bytes: Uint8Array): Generator<Uint8Array<ArrayBuffer>> {
    const { buffer } = this.#chunker;
    for (let taken = 0; taken < bytes.length;) {
      const at = this.#end;
      const piece = bytes.subarray(taken, taken + buffer.length - at);
      buffer.set(piece, at);
      taken += piece.length;
      this.#end += piece.length;
      yield* this.#cut(at);
    }
  }

  /** Ends the stream: the last chunk, or undefined if nothing is left. The next byte begins another stream. */
  finish(): Uint8Array<ArrayBuffer> | undefined {
    const rest = this.#end === 0 ? undefined : this.#chunker.buffer.slice(0, this.#end);
    this.#end = 0;
    this.#chunker.reset();
    return rest;
  }

  *#cut(from: number): Generator<Uint8Array<ArrayBuffer>> {
    const { buffer } = this.#chunker;
    let start = 0;
    let at = from;
    for (;;) {
      const cut = this.#chunker.scan(at, this.#end);
      if (cut === 0) break;
      yield buffer.slice(start, cut);
      start = cut;
      at = cut;
    }
    if (start === 0) return;
    buffer.copyWithin(0, start, this.#end);
    this.#end -= start;
  }
}
