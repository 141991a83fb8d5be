import { type EntryPath, splitEntryPath } from "../component/index.ts";
import { isGone } from "./scan.ts";
import { TreeDirectory } from "./tree-directory.ts";

/** Opens directories of a tree by their paths, from the root down and never through a link. Keeps the last chain open. */
export class DirectoryChain {
  readonly #root: TreeDirectory;
  readonly #chain: { readonly name: Buffer; readonly directory: TreeDirectory }[] = [];

  constructor(root: TreeDirectory) {
    this.#root = root;
  }

  /** The directory at this path, open until the next call; undefined if there is none. @throws EACCES, EIO */
  open(path: EntryPath): TreeDirectory | undefined {
    const names = splitEntryPath(path);
    let depth = 0;
    while (depth < names.length && this.#chain[depth]?.name.equals(names[depth] as Buffer) === true) depth += 1;
    this.#closeFrom(depth);
    try {
      for (const name of names.slice(depth)) {
        const parent = this.#chain.at(-1)?.directory ?? this.#root;
        this.#chain.push({ name, directory: parent.openChild(name) });
      }
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
    return this.#chain.at(-1)?.directory ?? this.#root;
  }

  #closeFrom(depth: number): void {
    for (const { directory } of this.#chain.splice(depth)) directory.close();
  }

  close(): void {
    this.#closeFrom(0);
  }
}

/** Path of the directory that holds the entry, and the entry's name in it. */
export function splitLastName(path: EntryPath): { readonly parent: EntryPath; readonly name: Buffer } {
  const slash = path.lastIndexOf(0x2f);
  return slash === -1
    ? { parent: Buffer.alloc(0), name: path }
    : { parent: path.subarray(0, slash), name: path.subarray(slash + 1) };
}
