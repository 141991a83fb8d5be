// What every layer may use: ids, the error class and its code table, clock, units, logger type.
// It knows nothing of backups.
export { AbortWatch } from "./abort-watch.ts";
export { type Clock, systemClock } from "./clock.ts";
export { type ErrorCode, type ErrorCodeInfo, errorCodes, type Retry } from "./error-codes.ts";
export {
  type Facts,
  HoldfastError,
  type HoldfastErrorOptions,
  isHoldfastError,
  messageOf,
  systemErrorCode,
  throwIfAborted,
} from "./errors.ts";
export { sendSignal } from "./send-signal.ts";
export {
  type BackupId,
  base32,
  type EnvironmentId,
  isBackupId,
  newBackupId,
  newOperationId,
  type OperationId,
  type ProjectId,
  type SourceId,
} from "./ids.ts";
export { type Logger, type LogLevel, silentLogger } from "./log.ts";
export { writePrivateFile } from "./private-file.ts";
export { programVersion } from "./program-version.ts";
export { makeDirectories } from "./make-directories.ts";
export {
  makeSocketFolder,
  removeFallbackFolder,
  removeStaleSocket,
  serverSocketPath,
  socketPath,
  socketUnusable,
} from "./socket-path.ts";
export { syncDirectory } from "./sync-directory.ts";
export { formatBytes, formatDuration, parseDurationMs } from "./units.ts";
