// Writes so many bytes of a dump to standard output: rows with a number of their own, so that no two parts are equal.
import { writeSync } from "node:fs";
import { SqlText } from "../engine/data.ts";

const rowBytes = 128;
const block = new SqlText(7).bytes(4 << 20);
const total = Number(process.argv[2]);
let row = 0;
for (let done = 0; done < total;) {
  for (let at = 0; at + rowBytes <= block.length; at += rowBytes) {
    row += 1;
    block.writeUInt32BE(Math.imul(row, 0x9e3779b1) >>> 0, at);
    block.writeUInt32BE(row >>> 0, at + 4);
  }
  const length = Math.min(block.length, total - done);
  for (let written = 0; written < length;) written += writeSync(1, block, written, length - written);
  done += length;
}
