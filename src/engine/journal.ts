import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { HoldfastError, messageOf, type OperationId, type SourceId, systemErrorCode } from "../base/index.ts";
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
  | { readonly step: "prepare" | "hold" | "store" | "stage" | "swap" | "swapped" }
  | { readonly step: "snapshot"; readonly snapshot: string };

/** Enough of a record that recovery cannot stumble over it. */
const recordSchema = z.union([
  z.object({
    step: z.literal("begin"),
    operation: z.string(),
    kind: z.enum(["backup", "restore", "delete"]),
    project: z.string(),
    environment: z.string(),
    backup: z.string(),
    components: z.array(z.object({ source: z.string(), folder: z.string().optional() })),
    at: z.string(),
  }),
  z.looseObject({ step: z.string().regex(/^(?!begin$)[a-z-]+$/) }),
]);

/** The line's JSON; undefined if it is none. */
function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** An operation's folder in the state: `journal.ndjson` and a work folder for each component. */
export class OperationFolder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static at(stateDirectory: string, operation: OperationId): OperationFolder {
    return new OperationFolder(join(stateDirectory, "operations", operation));
  }

  /**
   * Called under the environment's lock. The folder gets its place only once its first record is durable: a folder
   * without one is being removed, and recovery of any environment may remove it.
   * @throws HoldfastError STATE_UNUSABLE
   */
  static begin(stateDirectory: string, begin: OperationBegin): OperationFolder {
    const folder = OperationFolder.at(stateDirectory, begin.operation);
    const begun = new OperationFolder(
      join(stateDirectory, "beginning", encodeURIComponent(`${begin.project}/${begin.environment}`)),
    );
    try {
      // Of a process that died here: it held the same lock.
      rmSync(begun.path, { recursive: true, force: true });
      mkdirSync(begun.path, { recursive: true, mode: 0o700 });
      mkdirSync(join(stateDirectory, "operations"), { recursive: true, mode: 0o700 });
      begun.record(begin);
      syncFolder(begun.path);
      renameSync(begun.path, folder.path);
      syncFolder(join(stateDirectory, "operations"));
    } catch (error) {
      throw stateUnusable(folder.path, error);
    }
    return folder;
  }

  /**
   * Appends a record and makes it durable before it returns. If it throws, the record is not in the journal.
   * @throws HoldfastError STATE_UNUSABLE
   */
  record(record: JournalRecord): void {
    try {
      const file = openSync(join(this.path, "journal.ndjson"), "a", 0o600);
      try {
        appendDurably(file, Buffer.from(`${JSON.stringify(record)}\n`));
      } finally {
        closeSync(file);
      }
    } catch (error) {
      throw stateUnusable(this.path, error);
    }
  }

  /**
   * The whole records; a last line that a crash cut off was never acted upon and is left out.
   * @throws HoldfastError STATE_UNUSABLE for a journal that somebody changed
   */
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
      .map((line) => this.#decode(line));
  }

  #decode(line: string): JournalRecord {
    const path = join(this.path, "journal.ndjson");
    const parsed = recordSchema.safeParse(parseLine(line));
    if (parsed.success) return parsed.data as JournalRecord;
    throw new HoldfastError("STATE_UNUSABLE", `The journal ${path} holds something that Holdfast did not write.`, {
      facts: { path },
      remedy: "Look what the operation in it left behind, then remove its folder.",
    });
  }

  /** The component's work folder, made if it is not there. */
  workDirectory(source: SourceId): string {
    const path = join(this.path, encodeURIComponent(source));
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  /**
   * The operation has ended, or recovery has undone everything. The journal goes first, so that a process that dies here
   * leaves nothing to recover; on a full disk, too, where a record of the end could not be written.
   */
  remove(): void {
    if (!existsSync(this.path)) return;
    rmSync(join(this.path, "journal.ndjson"), { force: true });
    syncFolder(this.path);
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

/** All of it or, after a failure, nothing: half a record would make what is appended later unreadable. */
function appendDurably(file: number, bytes: Buffer): void {
  const { size } = fstatSync(file);
  try {
    for (let written = 0; written < bytes.length;) written += writeSync(file, bytes, written);
    fsyncSync(file);
  } catch (error) {
    ftruncateSync(file, size);
    fsyncSync(file);
    throw error;
  }
}

function stateUnusable(path: string, cause: unknown): HoldfastError {
  return new HoldfastError("STATE_UNUSABLE", `The journal in ${path} cannot be written: ${messageOf(cause)}`, {
    facts: { path, reason: systemErrorCode(cause) ?? "" },
    remedy: "Make room in the state folder, or correct its rights, and run the command again.",
    cause,
  });
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
