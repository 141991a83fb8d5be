import { programVersion } from "../base/index.ts";
import { type Entry, type EntryMetadata, generatedMetadata, type SourceDescription } from "../component/index.ts";
import type { HexId, RepositoryWriter, StoredTree, TreeChild } from "../repository/index.ts";
import type { Backup } from "./catalog.ts";
import type { Component, Environment } from "./environment.ts";
import { encodeManifest } from "./manifest.ts";

/** A component's stored tree with what the upper directories and the manifest need to know of it. */
export interface BackupTree extends StoredTree {
  readonly component: Component;
  readonly root: Entry;
  readonly description: SourceDescription;
}

export const manifestPath = "manifest.json";

/** Stores the manifest and the directories above the components' trees (design.md, section 3); returns the root's id. */
export async function storeBackupTree(
  writer: RepositoryWriter,
  environment: Environment,
  backup: Omit<Backup, "snapshot">,
  trees: readonly BackupTree[],
): Promise<HexId> {
  const descriptions = new Map(trees.map(({ component, description }) => [component.id, description]));
  const manifest = encodeManifest({ backup, descriptions }, environment.type, `holdfast ${programVersion()}`);
  const content = await writer.storeStream(once(manifest));
  const root = new Folder();
  for (const tree of trees) root.place(tree.component.path.split("/"), tree.root.metadata, tree.id);
  return root.store(writer, backup.createdAt, [
    {
      name: Buffer.from(manifestPath),
      metadata: generatedMetadata("file", backup.createdAt),
      content,
    },
  ]);
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

/** A directory of the upper levels: others of its kind, or components' trees. */
class Folder {
  readonly #folders = new Map<string, Folder>();
  readonly #trees = new Map<string, { readonly metadata: EntryMetadata; readonly subtree: HexId }>();

  place([name, ...below]: readonly string[], metadata: EntryMetadata, subtree: HexId): void {
    if (name === undefined || this.#trees.has(name)) {
      throw new TypeError("A component's path lies at or below another component's path.");
    }
    if (below.length === 0) {
      this.#trees.set(name, { metadata, subtree });
      return;
    }
    const folder = this.#folders.get(name) ?? new Folder();
    this.#folders.set(name, folder);
    folder.place(below, metadata, subtree);
  }

  async store(writer: RepositoryWriter, at: Date, files: readonly TreeChild[] = []): Promise<HexId> {
    const children: TreeChild[] = [...files];
    for (const [name, tree] of this.#trees) children.push({ name: Buffer.from(name), ...tree });
    for (const [name, folder] of this.#folders) {
      const subtree = await folder.store(writer, at);
      children.push({ name: Buffer.from(name), metadata: generatedMetadata("dir", at), subtree });
    }
    children.sort((a, b) => Buffer.compare(a.name, b.name));
    return writer.storeDirectory(children);
  }
}
