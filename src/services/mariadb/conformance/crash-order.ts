/** What the process that is to die gets told. */
export interface CrashOrder {
  readonly url: string;
  readonly operationId: string;
  readonly workDirectory: string;
  /** A `StoredBackup` as JSON. */
  readonly backupFile: string;
  readonly step: "stage" | "swap" | "revert" | "settle";
  readonly mode: "between" | "sent";
  /** The point, from 1, at which it kills itself. */
  readonly killAt: number;
}
