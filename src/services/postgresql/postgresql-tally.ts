import { crc32 } from "node:zlib";

/** Counts and checksums of what a source yields, by table and file. */
export class Tally {
  readonly #rows = new Map<string, number>();
  readonly #checksums = new Map<string, number>();
  #bytes = 0;

  /** Counts a table's rows in COPY's text format: each ends in a line feed, and no other line feed is in it. */
  table(schema: string, name: string): { add(chunk: Uint8Array): void; done(): void } {
    const key = `table:${schema}.${name}`;
    let rows = 0;
    let checksum = 0;
    return {
      add: (chunk) => {
        this.#bytes += chunk.length;
        checksum = crc32(chunk, checksum);
        for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) rows += 1;
      },
      done: () => {
        this.#rows.set(key, rows);
        this.#checksums.set(key, checksum);
      },
    };
  }

  /** Passes a file on and takes its checksum. */
  async *measure(name: string, stream: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    let checksum = 0;
    for await (const chunk of stream) {
      this.#bytes += chunk.length;
      checksum = crc32(chunk, checksum);
      yield chunk;
    }
    this.#checksums.set(name, checksum);
  }

  /** `{ "table:public.orders": 1204, tables: 1, bytes: 48213 }` */
  counts(): Record<string, number> {
    return { ...Object.fromEntries(this.#rows), tables: this.#rows.size, bytes: this.#bytes };
  }

  /** CRC-32 in hex by "table:schema.name" and file name. */
  fingerprints(): Record<string, string> {
    return Object.fromEntries([...this.#checksums].map(([name, value]) => [name, value.toString(16).padStart(8, "0")]));
  }
}
