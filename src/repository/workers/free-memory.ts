/** Smaller pieces are left to the garbage collection, which costs less for them. */
const minBytes = 64 << 10;

/**
 * Gives the memory of bytes that nobody needs any more back at once: the garbage collection knows little of what lies
 * outside its heap, and lets hundreds of megabytes of packs pile up. Leaves bytes alone that are a part of a larger
 * buffer, or shared.
 */
export function freeMemory({ buffer, length }: Uint8Array): void {
  if (length < minBytes || length !== buffer.byteLength || !(buffer instanceof ArrayBuffer)) return;
  buffer.transfer(0);
}

/** As `freeMemory`, for the end of bytes that were handed over whole, of whose memory they may be a part. */
export function freeHandedOver({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength >= minBytes) buffer.transfer(0);
}
