import { DirectoryChain, splitLastName } from "./directory-chain.ts";
import { isGone } from "./scan.ts";
import type { TreeDirectory } from "./tree-directory.ts";
import { fileIdentity, type TreeRecord } from "./tree-record.ts";

interface LinkedFile {
  /** Latin1 text. */
  readonly paths: Set<string>;
  ctimeNs: bigint;
}

/**
 * Files with more than one name. A write through one name raises no event at the others, so these files are looked at
 * again at the freeze point. Memory is proportional to them.
 */
export class LinkedFiles {
  readonly #files = new Map<string, LinkedFile>();

  get count(): number {
    return this.#files.size;
  }

  add(record: TreeRecord): void {
    if (record.metadata.type !== "file" || record.metadata.links < 2) return;
    const identity = fileIdentity(record.metadata);
    const known = this.#files.get(identity);
    if (known === undefined) {
      this.#files.set(identity, {
        paths: new Set([record.path.toString("latin1")]),
        ctimeNs: record.metadata.ctimeNs,
      });
      return;
    }
    // What was recorded under the other names is of an older state.
    if (known.ctimeNs !== record.metadata.ctimeNs) known.ctimeNs = -1n;
    known.paths.add(record.path.toString("latin1"));
  }

  /** The paths of the files that are not as they were recorded. */
  changed(root: TreeDirectory): string[] {
    const chain = new DirectoryChain(root);
    const changed: string[] = [];
    try {
      for (const [identity, file] of this.#files) {
        if (!isUnchanged(chain, identity, file)) changed.push(...file.paths);
      }
    } finally {
      chain.close();
    }
    return changed;
  }

  clear(): void {
    this.#files.clear();
  }
}

function isUnchanged(chain: DirectoryChain, identity: string, file: LinkedFile): boolean {
  for (const path of file.paths) {
    const { parent, name } = splitLastName(Buffer.from(path, "latin1"));
    try {
      const stat = chain.open(parent)?.lstat(name);
      if (stat !== undefined && fileIdentity({ deviceId: stat.dev, inode: stat.ino }) === identity) {
        return stat.ctimeNs === file.ctimeNs;
      }
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
  return false;
}
