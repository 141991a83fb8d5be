import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { generatedMetadata } from "../../component/index.ts";
import type { HexId, TreeChild } from "../repository.ts";
import { FaultTracer, type TreeFaults } from "./fault-tracer.ts";

const at = new Date("2026-01-01T00:00:00Z");
const idOf = (name: string): HexId => createHash("sha256").update(name).digest("hex");

/** Trees by name: a child is a file unless there is a tree for it ("x=y" is the directory x of the tree y). */
class Trees implements TreeFaults {
  readonly loads = new Map<string, number>();
  readonly #trees: ReadonlyMap<HexId, readonly [string, readonly string[]]>;

  constructor(trees: Readonly<Record<string, readonly string[]>>) {
    this.#trees = new Map(Object.entries(trees).map(([name, children]) => [idOf(name), [name, children]]));
  }

  async children(id: HexId): Promise<TreeChild[]> {
    const [name, children] = this.#trees.get(id) ?? ["", []];
    this.loads.set(name, (this.loads.get(name) ?? 0) + 1);
    return children.map((child) => {
      const [own = "", tree] = child.split("=");
      if (tree === undefined) {
        const content = { sizeBytes: 0, blobIds: Buffer.alloc(0) };
        return { name: Buffer.from(own), metadata: generatedMetadata("file", at), content };
      }
      return { name: Buffer.from(own), metadata: generatedMetadata("dir", at), subtree: idOf(tree) };
    });
  }

  ofTree(id: HexId): readonly number[] {
    return this.#trees.has(id) ? [] : [7];
  }

  ofFile(_id: HexId, { name, subtree }: TreeChild): readonly number[] {
    return subtree === undefined && name.toString().startsWith("bad") ? [1] : [];
  }
}

describe("tracing faults", () => {
  it("counts them below each directory, names their paths, and reads what is shared once", async () => {
    const trees = new Trees({
      one: ["a=shared", "b=shared", "bad1", "good"],
      two: ["c=shared", "d=sound", "gone=nothing"],
      shared: ["bad2", "x=sound"],
      sound: ["fine"],
    });
    const tracer = new FaultTracer(trees);
    expect(await tracer.below(idOf("one"))).toEqual(new Map([[1, 3]]));
    expect(trees.loads.get("shared")).toBe(1);
    expect(Object.fromEntries(await tracer.below(idOf("two")))).toEqual({ 1: 1, 7: 1 });
    expect(Object.fromEntries(trees.loads)).toEqual({ one: 1, two: 1, shared: 1, sound: 1, "": 1 });
    expect(await tracer.places(idOf("one"), 1, 10)).toEqual(["/a/bad2", "/b/bad2", "/bad1"]);
    expect(await tracer.places(idOf("one"), 1, 2)).toEqual(["/a/bad2", "/b/bad2"]);
    expect(await tracer.places(idOf("two"), 7, 10)).toEqual(["/gone/"]);
    expect(await tracer.places(idOf("two"), 99, 10)).toEqual([]);
    expect((await tracer.below(idOf("sound"))).size).toBe(0);
    expect(await tracer.below(idOf("missing"))).toEqual(new Map([[7, 1]]));
    expect(await tracer.places(idOf("missing"), 7, 10)).toEqual(["/"]);
  });

  it("is through with a tree that forks at every level, and with one deeper than any path", async () => {
    const forks: Record<string, string[]> = { level0: ["bad"] };
    for (let level = 1; level <= 60; level += 1)
      forks[`level${level}`] = [`l=level${level - 1}`, `r=level${level - 1}`];
    const tracer = new FaultTracer(new Trees(forks));
    expect((await tracer.below(idOf("level60"))).get(1)).toBe(2 ** 60);
    expect(await tracer.places(idOf("level60"), 1, 3)).toHaveLength(3);
    const deep: Record<string, string[]> = { level0: ["bad"] };
    for (let level = 1; level <= 20_000; level += 1) deep[`level${level}`] = [`d=level${level - 1}`];
    const other = new FaultTracer(new Trees(deep));
    expect((await other.below(idOf("level20000"))).get(1)).toBe(1);
    expect(await other.places(idOf("level20000"), 1, 3)).toEqual([]);
  });
});
