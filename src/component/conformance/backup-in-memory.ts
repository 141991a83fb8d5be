import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newOperationId, type OperationId, silentLogger, systemClock, throwIfAborted } from "../../base/index.ts";
import type { StoredContent } from "../content.ts";
import type { SourceContext, TargetContext, Warning } from "../context.ts";
import { compareEntryPaths, type Entry, type StoredEntry } from "../entry.ts";
import { MemoryContents } from "../memory-contents.ts";
import type { FreezePoint, Source, SourceDescription } from "../source.ts";
import type { Restorable } from "../target.ts";

/** One operation's context, good for a source and a target alike; a temporary work folder and a memory store. */
export interface TestContext extends SourceContext, TargetContext {
  readonly contents: MemoryContents;
  readonly warnings: Warning[];
  /** Removes the work folder. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface TestContextOptions {
  /** Default: a new store. */
  readonly contents?: MemoryContents;
  readonly signal?: AbortSignal;
  readonly operationId?: OperationId;
}

export async function makeTestContext(options: TestContextOptions = {}): Promise<TestContext> {
  const workDirectory = await mkdtemp(join(tmpdir(), "holdfast-operation-"));
  const contents = options.contents ?? new MemoryContents();
  const warnings: Warning[] = [];
  return {
    operationId: options.operationId ?? newOperationId(),
    workDirectory,
    clock: systemClock,
    log: silentLogger,
    signal: options.signal ?? new AbortController().signal,
    store: contents,
    contents,
    warnings,
    warn: (warning) => void warnings.push(warning),
    progress: () => undefined,
    [Symbol.asyncDispose]: () => rm(workDirectory, { recursive: true, force: true }),
  };
}

/** A backup of one component in memory. */
export interface MemoryBackup {
  readonly contents: MemoryContents;
  readonly description: SourceDescription;
  readonly entries: readonly StoredEntry[];
  readonly warnings: readonly Warning[];
}

/** The backup as a target takes it; can be asked for again. */
export function restorable(backup: MemoryBackup): Restorable {
  return { description: backup.description, entries: iterate(backup.entries) };
}

async function* iterate(entries: readonly StoredEntry[]): AsyncIterable<StoredEntry> {
  for (const entry of entries) yield entry;
}

/** Stores what a source yields, and checks on the way what the contract says of entries. */
export async function storeEntries(
  entries: AsyncIterable<Entry>,
  contents: MemoryContents,
  signal: AbortSignal = new AbortController().signal,
): Promise<StoredEntry[]> {
  const stored: StoredEntry[] = [];
  for await (const entry of entries) {
    const { path, metadata } = entry;
    const last = stored.at(-1);
    if (last === undefined ? path.length > 0 : compareEntryPaths(last.path, path) >= 0) {
      throw new Error(`Entry out of order: "${path.toString()}" after "${last?.path.toString() ?? "nothing"}"`);
    }
    if ((metadata.type === "file") !== (entry.content !== undefined)) {
      throw new Error(
        `"${path.toString()}" is of type ${metadata.type} and has ${entry.content?.kind ?? "no content"}`,
      );
    }
    const content = await storeContent(entry, contents, signal);
    stored.push(content === undefined ? { path, metadata } : { path, metadata, content });
  }
  throwIfAborted(signal);
  return stored;
}

async function storeContent(
  { content }: Entry,
  contents: MemoryContents,
  signal: AbortSignal,
): Promise<StoredContent | undefined> {
  if (content === undefined) return undefined;
  if (content.kind === "stored") return content.content;
  if (content.kind === "stream") return contents.storeStream(content.open(signal), signal);
  const [result] = await contents.storeFiles([{ path: content.path }], signal);
  if (result?.status !== "stored") throw new Error(`"${content.path.toString()}": ${JSON.stringify(result)}`);
  return result.content;
}

/** What a test does at a point of a backup. */
export interface BackupSteps {
  readonly contents?: MemoryContents;
  readonly afterPrepare?: () => Promise<void>;
  readonly afterFreeze?: (point: FreezePoint) => Promise<void>;
  /** Default 5,000. */
  readonly deadlineMs?: number;
}

/** Prepares, freezes, reads, describes and disposes, as the engine does. */
export async function takeBackup(source: Source, steps: BackupSteps = {}): Promise<MemoryBackup> {
  const contents = steps.contents ?? new MemoryContents();
  await using context = await makeTestContext({ contents });
  try {
    await source.prepare(context);
    await steps.afterPrepare?.();
    const point = await source.freeze(steps.deadlineMs ?? 5000);
    await steps.afterFreeze?.(point);
    const entries = await storeEntries(source.read(context.signal), contents, context.signal);
    return { contents, description: source.describe(), entries, warnings: context.warnings };
  } finally {
    await source.dispose();
  }
}

/** SHA-256 of the bytes of each file by path; "type" for other entries. */
export async function digests(backup: MemoryBackup): Promise<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const { path, metadata, content } of backup.entries) {
    let mark: string = metadata.type;
    if (content !== undefined) {
      const hash = createHash("sha256");
      for await (const chunk of backup.contents.read(content)) hash.update(chunk);
      mark = hash.digest("hex");
    }
    result[path.toString("latin1")] = mark;
  }
  return result;
}
