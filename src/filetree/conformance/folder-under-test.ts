import { mkdir, mkdtemp, readdir, readFile, rename, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ComponentUnderTest, Load } from "../../component/conformance/index.ts";
import type { Source, Target } from "../../component/index.ts";

const recordName = /^record-(\d+)$/;

async function stateOf(folder: string, path = ""): Promise<string[]> {
  const lines: string[] = [];
  for (const entry of await readdir(join(folder, path), { withFileTypes: true }).catch(missing)) {
    const child = join(path, entry.name);
    if (entry.name === "load" || entry.name.startsWith(".holdfast-")) continue;
    if (entry.isDirectory()) lines.push(`${child}/`, ...(await stateOf(folder, child)));
    else lines.push(`${child}: ${await readFile(join(folder, child), "utf8")}`);
  }
  return lines.sort();
}

const missing = (error: NodeJS.ErrnoException): [] => {
  if (error.code === "ENOENT") return [];
  throw error;
};

async function holdfastNames(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch(missing);
  return names.filter((name) => name.includes(".holdfast-"));
}

function startLoad(media: string): Load {
  let acknowledged = 0;
  let stopped = false;
  const run = (async (): Promise<void> => {
    for (let n = 1; !stopped; n += 1) {
      await mkdir(join(media, "load"), { recursive: true });
      await writeFile(join(media, "load", `record-${n}.part`), `record ${n}\n`);
      await rename(join(media, "load", `record-${n}.part`), join(media, "load", `record-${n}`));
      acknowledged = n;
    }
  })();
  // Whoever stops the load hears of its failure.
  run.catch(() => undefined);
  return {
    acknowledged: () => acknowledged,
    stop: async () => {
      stopped = true;
      await run;
    },
  };
}

export interface FolderUnderTest {
  /** For an empty folder that is there already. */
  readonly source: (root: string) => Source;
  readonly target: (root: string) => Target;
  /** What is put into the folder besides, and must outlive its destruction. */
  readonly prepare?: (root: string) => Promise<void>;
  /** The folder itself stays when its data is destroyed: what is in it belongs in part to others. */
  readonly rootStays?: boolean;
}

/** A folder as a component, for the conformance suite: files are made, changed and removed in it. */
export function folderFactory(options: FolderUnderTest): () => Promise<ComponentUnderTest> {
  return async () => {
    const base = await mkdtemp(join(tmpdir(), "holdfast-folder-"));
    const root = join(base, "folder");
    await mkdir(join(root, "2026"), { recursive: true });
    await options.prepare?.(root);
    return {
      atomicFreeze: false,
      source: () => options.source(root),
      target: () => options.target(root),
      mutate: async (n) => {
        await mkdir(join(root, "2026"), { recursive: true });
        await mkdir(join(root, `folder-${n}`), { recursive: true });
        await writeFile(join(root, "2026", "counter"), `${n}`);
        await writeFile(join(root, `folder-${n}`, "new"), `new ${n}`.repeat(n));
        await rm(join(root, `folder-${n - 1}`), { recursive: true, force: true });
      },
      liveState: async () => (await stateOf(root)).join("\n"),
      startLoad: () => Promise.resolve(startLoad(root)),
      loadRecords: async () =>
        (await readdir(join(root, "load")).catch(missing))
          .map((name) => Number(recordName.exec(name)?.[1] ?? 0))
          .filter((record) => record > 0)
          .sort((a, b) => a - b),
      destroyData: async () => {
        await unlink(join(root, "2026", "counter"));
        if (options.rootStays === true) await writeFile(join(root, "2026", "junk"), "junk");
        else await rm(root, { recursive: true });
      },
      leftovers: () => holdfastNames(base),
      dispose: () => rm(base, { recursive: true, force: true }),
    };
  };
}
