/**
 * Ids of blobs one after the other, in memory of their own. Not Buffer.concat: it takes small results from node's buffer
 * pool, and a message to another thread clones the whole pool (64 KiB) along with 32 bytes of it.
 */
export function joinIds(ids: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(ids.length * 32);
  for (const [number, id] of ids.entries()) joined.set(id, number * 32);
  return joined;
}
