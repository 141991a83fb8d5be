import { formatBytes } from "../../base/index.ts";
import type { Backup } from "../../engine/index.ts";
import { formatTimestamp } from "../output/moment.ts";
import type { Column } from "../output/table.ts";

const yesNo = (value: boolean): string => (value ? "true" : "false");

/** As Upsun's backup:list has them: names, headers and order; then ours. */
export const backupColumns: readonly Column<Backup>[] = [
  { name: "created_at", header: "Created", cell: (backup) => formatTimestamp(backup.createdAt) },
  { name: "id", header: "Backup ID", cell: (backup) => backup.id },
  { name: "restorable", header: "Restorable", cell: (backup) => yesNo(backup.restorable) },
  { name: "automated", header: "Automated", cell: (backup) => yesNo(backup.automated) },
  { name: "commit_id", header: "Commit ID", cell: (backup) => backup.commitId },
  {
    name: "expires_at",
    header: "Expires",
    cell: (backup) => (backup.expiresAt === null ? "" : formatTimestamp(backup.expiresAt)),
  },
  // The place of an automated backup in its schedule; manual ones have none.
  { name: "index", header: "Index", cell: () => "" },
  { name: "live", header: "Live", cell: (backup) => yesNo(!backup.safe) },
  { name: "status", header: "Status", cell: (backup) => backup.status },
  { name: "updated_at", header: "Updated", cell: (backup) => formatTimestamp(backup.updatedAt) },
  { name: "environment", header: "Environment", cell: (backup) => backup.environment },
  { name: "safe", header: "Safe", cell: (backup) => yesNo(backup.safe) },
  {
    name: "size",
    header: "Size",
    align: "right",
    cell: (backup) => formatBytes(backup.sizeBytes),
    exact: (backup) => String(backup.sizeBytes),
  },
];

export const defaultBackupColumns = ["created_at", "id", "restorable"];
