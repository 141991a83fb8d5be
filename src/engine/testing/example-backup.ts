import type { SourceId } from "../../base/index.ts";
import type { Backup } from "../catalog.ts";

export const exampleSource = "service:db" as SourceId;

/** A backup with something in every field. */
export const exampleBackup: Omit<Backup, "snapshot"> = {
  id: "7hq2m5w3k4pzc6tdrnx8vbyfje" as Backup["id"],
  project: "shop" as Backup["project"],
  environment: "main" as Backup["environment"],
  createdAt: new Date("2026-11-21T04:12:00.123Z"),
  updatedAt: new Date("2026-11-21T04:12:00.123Z"),
  expiresAt: new Date("2026-11-28T04:12:00.000Z"),
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
      source: exampleSource,
      kind: "postgresql",
      path: "services/db",
      engineVersion: "15.18",
      frozenAt: new Date("2026-11-21T04:12:01.000Z"),
      freezeMs: 0.9,
      freezeFacts: { method: "snapshot" },
      files: 3,
      bytes: 1000,
    },
  ],
  warnings: [{ source: exampleSource, kind: "file-changing", message: "x", facts: { path: "a" } }],
};
