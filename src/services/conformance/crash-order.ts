import type { CommandConfig } from "../command/command-config.ts";
import type { RedisConfig } from "../redis/redis-config.ts";
import type { SqliteConfig } from "../sqlite/sqlite-config.ts";

/** What the process that is to die gets told. */
export interface CrashOrder {
  readonly config: CommandConfig | RedisConfig | SqliteConfig;
  readonly operationId: string;
  readonly workDirectory: string;
  /** A `StoredBackup` as JSON. */
  readonly backupFile: string;
  readonly step: CrashStep;
  /** The point, from 1, at which it kills itself. */
  readonly killAt: number;
}

export type CrashStep = "stage" | "swap" | "revert" | "settle";
