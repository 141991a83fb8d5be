// CRC-64 as Redis uses it (Jones' polynomial, reflected, no inversion), eight bytes a step. Halves of 32 bits, because
// BigInt is a hundred times slower.
const low: Uint32Array[] = [];
const high: Uint32Array[] = [];
const first = { low: new Uint32Array(256), high: new Uint32Array(256) };
for (let byte = 0; byte < 256; byte += 1) {
  let l = byte;
  let h = 0;
  for (let bit = 0; bit < 8; bit += 1) {
    const carry = l & 1;
    l = ((l >>> 1) | (h << 31)) >>> 0;
    h >>>= 1;
    if (carry === 1) {
      l = (l ^ 0xac4bc9b5) >>> 0;
      h = (h ^ 0x95ac9329) >>> 0;
    }
  }
  first.low[byte] = l;
  first.high[byte] = h;
}
low.push(first.low);
high.push(first.high);
for (let table = 1; table < 8; table += 1) {
  const l = new Uint32Array(256);
  const h = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    const beforeLow = low[table - 1]![byte]!;
    const beforeHigh = high[table - 1]![byte]!;
    l[byte] = ((beforeLow >>> 8) | (beforeHigh << 24)) ^ first.low[beforeLow & 255]!;
    h[byte] = (beforeHigh >>> 8) ^ first.high[beforeLow & 255]!;
  }
  low.push(l);
  high.push(h);
}
const [l0, l1, l2, l3, l4, l5, l6, l7] = low as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
];
const [h0, h1, h2, h3, h4, h5, h6, h7] = high as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
];

/** The checksum of `bytes` as 8 bytes, little-endian, as DUMP ends with. */
export function crc64(bytes: Uint8Array): Buffer {
  let l = 0;
  let h = 0;
  let at = 0;
  const whole = bytes.length - 7;
  for (; at < whole; at += 8) {
    const a = l ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    const b = h ^ (bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24));
    l =
      l7[a & 255]! ^
      l6[(a >>> 8) & 255]! ^
      l5[(a >>> 16) & 255]! ^
      l4[a >>> 24]! ^
      l3[b & 255]! ^
      l2[(b >>> 8) & 255]! ^
      l1[(b >>> 16) & 255]! ^
      l0[b >>> 24]!;
    h =
      h7[a & 255]! ^
      h6[(a >>> 8) & 255]! ^
      h5[(a >>> 16) & 255]! ^
      h4[a >>> 24]! ^
      h3[b & 255]! ^
      h2[(b >>> 8) & 255]! ^
      h1[(b >>> 16) & 255]! ^
      h0[b >>> 24]!;
  }
  for (; at < bytes.length; at += 1) {
    const index = (l ^ bytes[at]!) & 255;
    l = ((l >>> 8) | (h << 24)) ^ l0[index]!;
    h = (h >>> 8) ^ h0[index]!;
  }
  const result = Buffer.alloc(8);
  result.writeUInt32LE(l >>> 0, 0);
  result.writeUInt32LE(h >>> 0, 4);
  return result;
}
