import type { SourceId } from "../../../src/base/index.ts";
import { generatedMetadata } from "../../../src/component/index.ts";
import type { Backup } from "../../../src/engine/catalog.ts";
import type { Manifest } from "../../../src/engine/manifest.ts";
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

const source = "service:db" as SourceId;

export const backup: Omit<Backup, "snapshot"> = {
  id: "7hq2m5w3k4pzc6tdrnx8vbyfje" as Backup["id"],
  project: "shop" as Backup["project"],
  environment: "main" as Backup["environment"],
  createdAt: at,
  updatedAt: at,
  expiresAt: at,
  status: "CREATED",
  automated: false,
  safe: true,
  restorable: true,
  commitId: "1f3c9ab",
  hold: { drainMs: 1.5, heldMs: 40, requestsHeld: 3, longestWaitMs: 39, requestsFailed: 0 },
  skewMs: 7,
  durationMs: 900,
  sizeBytes: 1000,
  written: { bytesNew: 10, bytesStored: 9, blobsNew: 1 },
  components: [
    {
      source,
      kind: "postgresql",
      path: "services/db",
      engineVersion: "15.18",
      frozenAt: at,
      freezeMs: 0.9,
      freezeFacts: { method: "snapshot" },
      files: 3,
      bytes: 1000,
    },
  ],
  warnings: [{ source, kind: "file-changing", message: "x", facts: { path: "a" } }],
};

export const manifest: Manifest = {
  backup,
  descriptions: new Map([
    [source, { kind: "postgresql", counts: { rows: 12 }, fingerprints: { schema: "abc" }, facts: { deep: [1, null] } }],
  ]),
};
