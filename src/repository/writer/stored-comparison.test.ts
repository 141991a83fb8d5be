import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { Entry, EntryBase, EntryMetadata, StoredContent } from "../../component/index.ts";
import { MemoryBackend } from "../../storage/index.ts";
import { WorkerPool } from "../workers/worker-pool.ts";
import {
  BareRepository,
  directoryEntry,
  fileMetadata,
  noise,
  snapshotOf,
  streamOf,
} from "./conformance/bare-repository.ts";

const pool = new WorkerPool({ threads: 1 });
afterAll(() => pool.close());

/** What is in a directory, by name; the number chooses among its states. */
interface Child {
  readonly name: Buffer;
  readonly kind: "file" | "link" | "dir" | "lost";
  readonly state: number;
}

const names = ["a", "b", "bé", 'c"q', "c\\", "d<&>", "e\n", "f\xff", "z "].map((name) =>
  Buffer.from(name, name.includes("\xff") ? "latin1" : "utf8"),
);
const child: fc.Arbitrary<Child> = fc.record({
  name: fc.constantFrom(...names),
  kind: fc.constantFrom("file", "file", "file", "link", "dir", "lost"),
  state: fc.nat(2),
});
const children = fc
  .uniqueArray(child, { selector: ({ name }) => name.toString("latin1"), maxLength: names.length })
  .map((list) => list.toSorted((a, b) => Buffer.compare(a.name, b.name)));
/** The second state of a directory: the first with some changes, or another one. */
const states = fc.tuple(children, children, fc.nat(3)).map(([before, other, share]) => {
  const changed = new Map(other.map((one) => [one.name.toString("latin1"), one]));
  const after = before.flatMap((one, at) => (at % 4 < share ? [] : [changed.get(one.name.toString("latin1")) ?? one]));
  return { before, after: share === 3 ? other : share === 0 ? before : after };
});

function metadataOf({ kind, state }: Child): EntryMetadata {
  const type = kind === "lost" ? "file" : kind === "link" ? "symlink" : kind;
  return {
    ...fileMetadata,
    type,
    mtimeNs: BigInt(state) * 1000n,
    inode: BigInt(state),
    links: kind === "file" && state === 2 ? 2 : 1,
    ...(type === "symlink" ? { linkTarget: Buffer.from("target") } : {}),
    ...(state === 1 ? { user: "shop", xattrs: [{ name: "user.x", value: Buffer.from(',"content":["') }] } : {}),
  };
}

describe("what is in a directory as it was before", () => {
  test("is not stored again, and the new tree is the one that storing everything gives", async () => {
    const repository = new BareRepository(new MemoryBackend(), pool);
    const contents: StoredContent[] = [];
    const lost: StoredContent = { sizeBytes: 4, blobIds: Buffer.alloc(32, 1) };
    const contentOf = ({ kind, state }: Child): StoredContent =>
      kind === "lost" ? lost : (contents[state] as StoredContent);
    const entryOf = (one: Child): Entry[] => {
      const path = Buffer.concat([Buffer.from("m/"), one.name]);
      const metadata = metadataOf(one);
      if (metadata.type !== "file") return [{ path, metadata }];
      return [{ path, metadata, content: { kind: "stored", content: contentOf(one) } }];
    };
    let sames = 0;
    let wholes = 0;
    await fc.assert(
      fc.asyncProperty(states, async ({ before, after }) => {
        const writer = await repository.writer();
        for (let state = contents.length; state < 3; state += 1) {
          contents.push(await writer.storeStream(streamOf(Array.from({ length: state }, () => noise(9 << 20, state)))));
        }
        const top = [directoryEntry(""), directoryEntry("m")];
        const old = await writer.storeTree(streamOf([...top, ...before.flatMap(entryOf)]));
        const snapshot = await writer.saveSnapshot(snapshotOf(old.id));
        await writer.close();

        const next = await repository.writer();
        const whole = await next.storeTree(streamOf([...top, ...after.flatMap(entryOf)]));
        const previous = await next.previous(snapshot, "");
        const comparison = await previous?.compare(Buffer.from("m"));
        if (comparison === undefined) throw new Error("nothing to compare with");
        const counts = { files: 0, bytes: 0 };
        const differing: Entry[] = [];
        for (const one of after) {
          const metadata = metadataOf(one);
          const sizeBytes = metadata.type === "file" ? contentOf(one).sizeBytes : 0;
          if (metadata.type === "dir") comparison.nextDirectory(one.name);
          else if (comparison.isSame(one.name, metadata, sizeBytes)) {
            expect(one.kind).not.toBe("lost");
            expect(metadata.links).toBe(1);
            sames += 1;
            if (metadata.type !== "file") continue;
            counts.files += 1;
            counts.bytes += sizeBytes;
            continue;
          }
          if (metadata.type !== "dir") comparison.differs(one.name);
          differing.push(...entryOf(one));
        }
        const end = comparison.end();
        if (end?.whole === true) wholes += 1;
        const base: { base?: EntryBase } = end === undefined ? {} : { base: { ...end, ...counts } };
        const based = await next.storeTree(
          streamOf([directoryEntry(""), { ...directoryEntry("m"), ...base }, ...differing]),
        );
        expect(based).toEqual(whole);
        await next.close();
      }),
      { numRuns: 150 },
    );
    expect(sames).toBeGreaterThan(50);
    expect(wholes).toBeGreaterThan(0);
  });

  test("gives the earlier content of what has other metadata, and nothing for what is new", async () => {
    const repository = new BareRepository(new MemoryBackend(), pool);
    const writer = await repository.writer();
    const content = await writer.storeStream(streamOf([Buffer.from("bytes")]));
    const file: Entry = { path: Buffer.from("f"), metadata: fileMetadata, content: { kind: "stored", content } };
    const tree = await writer.storeTree(streamOf([directoryEntry(""), file]));
    const snapshot = await writer.saveSnapshot(snapshotOf(tree.id));
    await writer.close();
    const next = await repository.writer();
    const previous = await next.previous(snapshot, "");
    const comparison = await previous?.compare(Buffer.alloc(0));
    expect(comparison?.isSame(Buffer.from("a"), fileMetadata, 5)).toBe(false);
    expect(comparison?.differs(Buffer.from("a"))).toBeUndefined();
    expect(comparison?.isSame(Buffer.from("f"), { ...fileMetadata, deviceId: 7n }, 5)).toBe(false);
    const found = comparison?.differs(Buffer.from("f"));
    expect(found).toMatchObject({
      path: Buffer.from("f"),
      content,
      stamp: { sizeBytes: 5, inode: fileMetadata.inode },
    });
    expect(comparison?.end()).toBeUndefined();
    expect(await previous?.compare(Buffer.from("none"))).toBeUndefined();
    expect(await previous?.compare(Buffer.from("f/none"))).toBeUndefined();
    await next.close();
  });
});
