import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { HoldfastError, type OperationId, type SourceId, systemErrorCode } from "../base/index.ts";
import type { BackupId, EnvironmentId, ProjectId } from "../base/index.ts";

export type OperationKind = "backup" | "restore" | "delete";

/** The first record of a journal: everything that recovery needs to find its way. */
export interface OperationBegin {
  readonly step: "begin";
  readonly operation: OperationId;
  readonly kind: OperationKind;
  readonly project: ProjectId;
  readonly environment: EnvironmentId;
  readonly backup: BackupId;
  readonly components: readonly { readonly source: SourceId; readonly folder?: string }[];
  readonly at: string;
}

/**
 * Each is written, and durable, before what it names is done, except `swapped` and `snapshot`, which are the points after
 * which an operation is finished rather than undone.
 */
export type JournalRecord =
  | OperationBegin
  | { readonly step: "prepare" | "hold" | "store" | "stage" | "swap" | "swapped" | "settle" | "revert" }
  | { readonly step: "snapshot"; readonly snapshot: string }
  | { readonly step: "end"; readonly outcome: string };

/** An operation's folder in the state: `journal.ndjson` and a work folder for each component. */
export class OperationFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static at(stateDirectory: string, operation: OperationId): OperationFolder {
    return new OperationFolder(join(stateDirectory, "operations", operation));
  }

  static begin(stateDirectory: string, begin: OperationBegin): OperationFolder {
    const folder = OperationFolder.at(stateDirectory, begin.operation);
    try {
      mkdirSync(folder.path, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new HoldfastError("STATE_UNUSABLE", `The folder ${folder.path} cannot be made.`, { cause: error });
    }
    folder.record(begin);
    syncFolder(folder.path);
    syncFolder(join(stateDirectory, "operations"));
    return folder;
  }

  /** Appends a record and makes it durable before it returns. */
  record(record: JournalRecord): void {
    const file = openSync(join(this.path, "journal.ndjson"), "a", 0o600);
    try {
      writeSync(file, `${JSON.stringify(record)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }

  /** The whole records; a last line that a crash cut off was never acted upon and is left out. */
  records(): JournalRecord[] {
    let text: string;
    try {
      text = readFileSync(join(this.path, "journal.ndjson"), "utf8");
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return [];
      throw error;
    }
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    return whole
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as JournalRecord);
  }

  /** The component's work folder, made if it is not there. */
  workDirectory(source: SourceId): string {
    const path = join(this.path, encodeURIComponent(source));
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  /** After `end` was recorded, or when recovery has undone everything. */
  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Every operation folder in the state, oldest name order not guaranteed. */
export function operationFolders(stateDirectory: string): OperationFolder[] {
  let names: string[];
  try {
    names = readdirSync(join(stateDirectory, "operations"));
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw error;
  }
  return names.map((name) => OperationFolder.at(stateDirectory, name as OperationId));
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
