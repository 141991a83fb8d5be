// Places that keep a repository's files: written once, read whole or in ranges, listed, removed. Terms: backend, handle
// (type and name of a file). It knows nothing of what is in the files.
export type { Backend, FileHandle, FileInfo, FileType } from "./backend.ts";
export { type BackendOperation, type Faults, FaultyBackend } from "./faulty/faulty-backend.ts";
export { type CallFault, callFaults, FaultAtCall } from "./faulty/fault-at-call.ts";
export { LocalBackend } from "./local/local-backend.ts";
export { MemoryBackend } from "./memory/memory-backend.ts";
