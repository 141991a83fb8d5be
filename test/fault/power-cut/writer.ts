// Writes to the catalog in the file that is its argument, without end, and prints a line for each thing once the catalog has
// acknowledged it: "backup ID", "created ID", "log ID SEQUENCE", "ended ID".
import { writeSync } from "node:fs";
import { type EnvironmentId, newBackupId, type ProjectId, systemClock } from "../../../src/base/index.ts";
import { type Actor, openCatalog } from "../../../src/control/index.ts";
import type { Backup } from "../../../src/engine/index.ts";

const [file = ""] = process.argv.slice(2);
const project = "shop" as ProjectId;
const environment = "main" as EnvironmentId;
const ann: Actor = { id: "u1", name: "Ann", address: null };
const worker = { id: "w", place: "here", serves: () => true };
const options = { leaseMs: 30_000, limits: { inProject: 2, inStorage: 4 } };
const acknowledge = (line: string): void => void writeSync(1, `${line}\n`);

const catalog = await openCatalog({ file }, { clock: systemClock });
const declared = {
  id: environment,
  title: "Main",
  type: "production",
  parent: undefined,
  initialStatus: "active",
} as const;
await catalog.projects.declare([{ id: project, title: "Shop", environments: [declared] }], { complete: true });
for (;;) {
  const backup = backupNow();
  await catalog.insert(backup);
  acknowledge(`backup ${backup.id}`);
  const { activity } = await catalog.activities.create(
    { project, environment, type: "environment.backup", parameters: {}, payload: {}, text: "x", storage: "disk" },
    ann,
  );
  acknowledge(`created ${activity.id}`);
  const claim = await catalog.queue.claim(worker, options);
  if (claim === undefined) throw new Error("There is nothing to claim.");
  for (let sequence = 0; sequence < 3; sequence += 1) {
    await catalog.queue.report(claim, { messages: ["something that takes some room ".repeat(20)] });
    acknowledge(`log ${claim.activity.id} ${sequence}`);
  }
  await catalog.queue.end(claim, { result: "success", outcome: "done" });
  acknowledge(`ended ${claim.activity.id}`);
}

function backupNow(): Backup {
  const now = new Date();
  return {
    id: newBackupId(),
    project,
    environment,
    snapshot: "ab".repeat(32),
    createdAt: now,
    updatedAt: now,
    expiresAt: null,
    status: "CREATED",
    automated: false,
    safe: false,
    restorable: true,
    commitId: "",
    hold: null,
    skewMs: 0,
    durationMs: 0,
    sizeBytes: 0,
    written: { bytesNew: 0, bytesStored: 0, blobsNew: 0 },
    components: [],
    warnings: [],
  };
}
