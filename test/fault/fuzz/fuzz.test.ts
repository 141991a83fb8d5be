import { expect, it } from "vitest";
import { HoldfastError } from "../../../src/base/index.ts";
import { decodeTree } from "../../../src/repository/tree/decode-tree.ts";
import { encodeTree } from "../../../src/repository/tree/tree-format.ts";
import { decodeIndex, encodeIndex } from "../../../src/repository/index/index-file.ts";
import { RespParser } from "../../../src/services/redis/resp-parser.ts";
import { decoders } from "./decoders.ts";
import { fuzzDecoder } from "./fuzz-decoder.ts";
import { children } from "./valid-documents.ts";

it.each(decoders)("a damaged $name gives an error of ours, in bounded time", { timeout: 120_000 }, async (decoder) => {
  for (const valid of decoder.valid) await decoder.decode(valid);
  expect(await fuzzDecoder(decoder, 1, decoder.name === "key file" ? 100 : 600)).toBeUndefined();
});

it("a tree and an index that were read are written again byte for byte", () => {
  const tree = encodeTree(children);
  expect(encodeTree(decodeTree(tree, "tree")).equals(tree)).toBe(true);
  const blob = { type: "data", id: Buffer.alloc(32, 1), offset: 0, length: 100, uncompressedLength: 5 } as const;
  const index = encodeIndex([{ id: "ab".repeat(32), blobs: [blob] }]);
  expect(encodeIndex(decodeIndex(index, "index")).equals(index)).toBe(true);
});

// Each of these kept the program busy for ever, or ended it, until the parser refused it.
it.each(["$-5\r\n", "$x\r\n", "*x\r\n", "*-7\r\n", "*1\r\n".repeat(20_000)])("Redis' reply %j is refused", (text) => {
  expect(() => new RespParser().push(Buffer.from(text))).toThrow(SyntaxError);
});

it.each([
  ["a string that unpacks to 4 GiB", "\x00\x01a\xc3\x01\x80\xff\xff\xff\xff\x00"],
  ["a database beyond any", "\xfe\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00\x01a\x01b\xff"],
])("an RDB file with %s is refused", async (_what, text) => {
  const rdb = decoders.find(({ name }) => name === "RDB file");
  const bytes = Buffer.from(`REDIS0004${text}`, "latin1");
  await expect(rdb?.decode(bytes)).rejects.toBeInstanceOf(HoldfastError);
});
