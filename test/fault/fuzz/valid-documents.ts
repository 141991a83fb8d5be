import { generatedMetadata } from "../../../src/component/index.ts";
import type { Manifest } from "../../../src/engine/manifest.ts";
import { exampleBackup, exampleSource } from "../../../src/engine/testing/example-backup.ts";
import type { TreeChild } from "../../../src/repository/index.ts";

const at = new Date("2026-01-02T03:04:05Z");
const file = generatedMetadata("file", at);

/** A directory with one of each kind of entry. */
export const children: readonly TreeChild[] = [
  { name: Buffer.from("dir"), metadata: generatedMetadata("dir", at), subtree: "cd".repeat(32) },
  {
    name: Buffer.from("file"),
    metadata: { ...file, inode: 2n ** 60n, links: 2, user: "u", xattrs: [{ name: "user.x", value: Buffer.of(1, 2) }] },
    content: { sizeBytes: 70, blobIds: Buffer.alloc(64, 7) },
  },
  { name: Buffer.from("link"), metadata: { ...file, type: "symlink", linkTarget: Buffer.from("../x\xff", "latin1") } },
  { name: Buffer.from("node"), metadata: { ...file, type: "chardev", device: 259n } },
  { name: Buffer.from("ü\xff", "latin1"), metadata: { ...file, type: "fifo" } },
];

export const manifest: Manifest = {
  backup: exampleBackup,
  descriptions: new Map([
    [
      exampleSource,
      { kind: "postgresql", counts: { rows: 12 }, fingerprints: { schema: "abc" }, facts: { deep: [1, null] } },
    ],
  ]),
};
