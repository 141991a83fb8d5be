// Gear hash over the module's own memory: h = (h << 1) + table[byte], a window of the last 64 bytes. Compiled by
// build-wasm.ts. Layout of the memory: 256 random 64-bit words at 0, the caller's buffer from `bufferOffset` on.
// A cut is where the top bits of the hash are all zero: more bits before the wanted size, fewer after it (normalised
// chunking, as in FastCDC), so that sizes gather around it.

const window: u32 = 64;
const minBytes: u32 = 512 << 10;
const normalBytes: u32 = 1 << 20;
const maxBytes: u32 = 8 << 20;
const strictMask: u64 = 0xfffff00000000000; // 20 bits
const looseMask: u64 = 0xffffc00000000000; // 18 bits

export const bufferOffset: u32 = 4096;

let hash: u64 = 0;
let length: u32 = 0;

/** Forgets what was scanned; the next byte begins a chunk. */
export function reset(): void {
  hash = 0;
  length = 0;
}

/** Bytes of the chunk that is being scanned. */
export function pending(): u32 {
  return length;
}

/** Address after the byte that completes the mask in [at, end), or 0 if none does. */
function find(at: u32, end: u32, mask: u64): u32 {
  let h = hash;
  const four = at + ((end - at) & ~3);
  while (at < four) {
    h = (h << 1) + load<u64>((<u32>load<u8>(at)) << 3);
    if ((h & mask) == 0) return at + 1;
    h = (h << 1) + load<u64>((<u32>load<u8>(at, 1)) << 3);
    if ((h & mask) == 0) return at + 2;
    h = (h << 1) + load<u64>((<u32>load<u8>(at, 2)) << 3);
    if ((h & mask) == 0) return at + 3;
    h = (h << 1) + load<u64>((<u32>load<u8>(at, 3)) << 3);
    if ((h & mask) == 0) return at + 4;
    at += 4;
  }
  while (at < end) {
    h = (h << 1) + load<u64>((<u32>load<u8>(at)) << 3);
    at += 1;
    if ((h & mask) == 0) return at;
  }
  hash = h;
  return 0;
}

/**
 * Goes on scanning with the bytes in [at, end). Returns the address after the chunk's last byte, and is then ready for
 * the next chunk, which begins there; or 0 if the chunk goes on beyond `end`.
 */
export function scan(at: u32, end: u32): u32 {
  const begin = at - length;
  // The window must be full where the first cut may be, so hashing begins a window's length before it.
  const hashFrom = begin + minBytes - window;
  if (at < hashFrom) at = min(hashFrom, end);
  const firstCut = begin + minBytes;
  if (at < firstCut) {
    const stop = min(firstCut - 1, end);
    let h = hash;
    while (at < stop) {
      h = (h << 1) + load<u64>((<u32>load<u8>(at)) << 3);
      at += 1;
    }
    hash = h;
  }
  const normal = min(begin + normalBytes, end);
  let cut: u32 = 0;
  if (at < normal && at >= firstCut - 1) {
    cut = find(at, normal, strictMask);
    at = normal;
  }
  if (cut == 0 && at >= normal) {
    const last = min(begin + maxBytes, end);
    if (at < last) cut = find(at, last, looseMask);
    if (cut == 0 && last == begin + maxBytes) cut = last;
  }
  if (cut != 0) {
    reset();
    return cut;
  }
  length = end - begin;
  return 0;
}
