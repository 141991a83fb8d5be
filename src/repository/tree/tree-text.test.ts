import { describe, expect, it } from "vitest";
import { generatedMetadata } from "../../component/index.ts";
import type { TreeChild } from "../repository.ts";
import { encodeTree } from "./tree-format.ts";
import { TreeText } from "./tree-text.ts";

const at = new Date(0);
const subtree = "ab".repeat(32);
const file = (name: string): TreeChild => ({
  name: Buffer.from(name),
  metadata: generatedMetadata("file", at),
  content: { sizeBytes: 2, blobIds: Buffer.alloc(64, 3) },
});
const directory = (name: string): TreeChild => ({
  name: Buffer.from(name),
  metadata: generatedMetadata("dir", at),
  subtree,
});

describe("the text of a tree", () => {
  it("is taken apart into its nodes", () => {
    const children = [file('","type":"x'), directory("dir"), file("file"), file("é")];
    const json = encodeTree(children);
    const tree = TreeText.of(json);
    expect(tree?.nodes.map((node) => tree.name(node))).toEqual(children.map(({ name }) => name));
    const texts = tree?.nodes.map(({ start, end }) => tree.text.slice(start, end)) ?? [];
    expect(`{"nodes":[${texts.join(",")}]}\n`).toBe(json.toString());
    const found = tree?.find(Buffer.from("dir"));
    expect(found && tree?.subtree(found)).toBe(subtree);
    expect(tree?.find(Buffer.from("dirt"))).toBeUndefined();
    expect(TreeText.of(encodeTree([]))?.nodes).toEqual([]);
  });

  const node = encodeTree([file("f")])
    .toString()
    .slice('{"nodes":['.length, -"]}\n".length);
  it.each([
    ["", "empty"],
    ["null", "no tree"],
    ['{"nodes":null}\n', "no list"],
    [`{"nodes":[${node}]}`, "without a line's end"],
    [`{"nodes":[${node},]}\n`, "an empty node"],
    [`{"nodes":[${node}${node}]}\n`, "no comma"],
    [`{"nodes":[${node},${node}]}\n`, "a name twice"],
    [`{"nodes":[${node.replace('"f"', '"g"')},${node}]}\n`, "out of order"],
    [`{"nodes":[${node.replace('"f"', '"\\\\x"')}]}\n`, "a malformed name"],
    [`{"nodes":[${node.replace(',"content"', ',"contents"')}]}\n`, "no content"],
    [
      `{"nodes":[${node.replace(',"content"', ',"contents"')},${node.replace('"f"', '"g"')}]}\n`,
      "no content, but the next",
    ],
    [`{"nodes":[ ${node}]}\n`, "a space"],
    [`{"nodes":[${node.replace(/"content":.*/, '"content":null,"subtree":"ab"}')}]}\n`, "a short id"],
  ])("is left to be decoded where it has another form: %j", (json) => {
    expect(TreeText.of(Buffer.from(json))).toBeUndefined();
  });
});
