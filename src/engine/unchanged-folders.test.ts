import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { SourceId } from "../base/index.ts";
import type { Entry, SourceDescription } from "../component/index.ts";
import { makeTestContext } from "../component/conformance/index.ts";
import { MountSource } from "../mounts/index.ts";
import {
  createRepository,
  openRepository,
  type Repository,
  type Snapshot,
  type StoredTree,
} from "../repository/index.ts";
import { MemoryBackend } from "../storage/index.ts";

const password = "p";
let root: string;
let repository: Repository;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "holdfast-unchanged-"));
  const backend = new MemoryBackend();
  await createRepository(backend, { password });
  repository = await openRepository(backend, { password, workers: 1 });
});
afterEach(async () => {
  await repository.close();
  rmSync(root, { recursive: true, force: true });
});

const long = new Date(Date.now() - 86_400_000);
function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  utimesSync(join(root, path), long, long);
}

interface Taken {
  readonly snapshot: Snapshot;
  readonly stored: StoredTree;
  readonly description: SourceDescription;
  readonly entries: readonly Entry[];
}

async function take(options: {
  readonly parent?: Taken;
  readonly watch?: "auto" | "never";
  readonly afterPrepare?: () => void;
}): Promise<Taken> {
  await using context = await makeTestContext();
  const writer = await repository.writer();
  const source = new MountSource({
    id: "mount:app/data" as SourceId,
    root,
    watch: options.watch ?? "auto",
    exclude: ["cache/*"],
  });
  const previous = options.parent && (await writer.previous(options.parent.snapshot, ""));
  await source.prepare({ ...context, store: writer, ...(previous === undefined ? {} : { previous }) });
  options.afterPrepare?.();
  await source.freeze(5000);
  const entries: Entry[] = [];
  async function* seen(): AsyncGenerator<Entry> {
    for await (const entry of source.read(context.signal)) {
      entries.push(entry);
      yield entry;
    }
  }
  const stored = await writer.storeTree(seen());
  const description = source.describe();
  const snapshot = await writer.saveSnapshot({
    time: new Date(),
    tree: stored.id,
    paths: ["/"],
    hostname: "h",
    tags: [],
  });
  await source.dispose();
  await writer.close();
  return { snapshot, stored, description, entries };
}

/** All that a backup holds. Change times apart: of what was written just before, they are lowered. */
async function held({ snapshot, stored, description }: Taken): Promise<unknown> {
  const reader = await repository.reader();
  const entries: unknown[] = [];
  for await (const { path, metadata, content } of reader.walk(snapshot, Buffer.alloc(0))) {
    // The root is the snapshot's own directory.
    if (path.length === 0) continue;
    entries.push([
      path.toString(),
      { ...metadata, ctimeNs: 0n },
      content?.sizeBytes,
      content && Buffer.from(content.blobIds).toString("hex"),
    ]);
  }
  await reader.close();
  const { files, directories, bytes } = stored;
  return { entries, files, directories, bytes, counts: description.counts, fingerprints: description.fingerprints };
}

const names = (taken: Taken): string[] => taken.entries.map(({ path }) => path.toString());

function makeTree(): void {
  for (const folder of ["", "a/", "a/deep/", "b/", "c/", "d/", "e/"]) {
    for (const name of ["1", "2", "3 é"]) write(`${folder}${name}`, `${folder}${name}`);
  }
  symlinkSync("1", join(root, "b/link"));
  write("shared/name", "one file");
  linkSync(join(root, "shared/name"), join(root, "shared/other name"));
  mkdirSync(join(root, "empty"));
  write("cache/x", "left out");
}

describe("a folder that was backed up before", () => {
  it("yields directories alone where nothing has changed, and its backup is the same tree", async () => {
    makeTree();
    const first = await take({});
    const second = await take({ parent: first });
    // Once more, now that no change time is lowered any more.
    const third = await take({ parent: second });
    const fourth = await take({ parent: third });
    expect(fourth.stored.id).toBe(third.stored.id);
    // A file with two names may be written to under the other.
    const directories = ["", "a", "a/deep", "b", "c", "cache", "d", "e", "empty", "shared"];
    expect(names(fourth)).toEqual([...directories, "shared/name", "shared/other name"]);
    expect(await held(fourth)).toEqual(await held(await take({})));
    expect((await repository.check({ readDataRatio: 1 })).findings).toEqual([]);
  });

  it.each(["auto", "never"] as const)(
    "holds what changed before and while it is backed up (watch: %s)",
    async (watch) => {
      makeTree();
      const first = await take({ parent: await take({ parent: await take({}) }) });
      write("a/2", "changed");
      write("a/new", "new");
      rmSync(join(root, "b/1"));
      chmodSync(join(root, "c"), 0o700);
      renameSync(join(root, "c/1"), join(root, "c/9"));
      const afterPrepare = (): void => {
        write("3 é", "changed late");
        write("a/deep/late", "late");
        rmSync(join(root, "b/2"));
        chmodSync(join(root, "a"), 0o711);
        rmSync(join(root, "c"), { recursive: true });
        write("c/2", "in another folder");
        // Another directory of the same name, with nothing in it.
        rmSync(join(root, "e"), { recursive: true });
        mkdirSync(join(root, "e"));
        mkdirSync(join(root, "empty/late"));
        writeFileSync(join(root, "shared/other name"), "written to under its other name");
      };
      const second = await take({ parent: first, watch, afterPrepare });
      const whole = await take({});
      expect(await held(second)).toEqual(await held(whole));
      expect(names(whole)).toContain("d/1");
      if (watch === "auto") expect(names(second)).not.toContain("d/1");
      expect(
        (await repository.check({ readDataRatio: 1 })).findings.filter(({ severity }) => severity === "error"),
      ).toEqual([]);
    },
  );
});
