import {
  type BackupId,
  HoldfastError,
  isHoldfastError,
  messageOf,
  newBackupId,
  throwIfAborted,
} from "../base/index.ts";
import type { Entry, PreviousEntries, Source, SourceDescription } from "../component/index.ts";
import type { HoldFigures } from "../gateway/index.ts";
import type { RepositoryWriter, Snapshot, StoredTree } from "../repository/index.ts";
import { type BackupTree, storeBackupTree } from "./backup-tree.ts";
import type { Backup, BackupComponent } from "./catalog.ts";
import { deleteBackup, oldestManualBackups } from "./delete-backup.ts";
import type { Component, CreateBackupOptions, EngineContext, Environment } from "./environment.ts";
import { freezeAll, type FreezePoints, liveFreezeDeadlineMs, whileHeld } from "./freeze.ts";
import { runHook } from "./hooks.ts";
import { type Operation, runOperation, runTogether } from "./operation.ts";
import { PhaseProgress } from "./progress.ts";

/**
 * Backs up the environment: prepare all, hold, freeze all, release, read all into the repository, write the snapshot.
 * Complete when the snapshot is durable. If it throws, requests go on, nothing is left behind, no backup exists.
 * @throws HoldfastError ENVIRONMENT_INACTIVE, ENVIRONMENT_BUSY, HOLD_*, GATEWAY_*, FREEZE_FAILED, SERVICE_*, STORAGE_*, INTERRUPTED
 */
export async function createBackup(
  context: EngineContext,
  environment: Environment,
  options: CreateBackupOptions,
): Promise<Backup> {
  assertCanBackUp(environment, options);
  const id = options.id ?? newBackupId();
  const components = environment.components.map(({ id: source }) => ({ source }));
  const begin = {
    backup: id,
    components,
    ...(options.operation === undefined ? {} : { operation: options.operation }),
  };
  const backup = await runOperation(context, environment, "backup", begin, async (operation) => {
    // Made by a process that was killed before it could tell; looked for once recovery has put it into the catalog.
    const there = options.id === undefined ? undefined : await context.catalog.get(environment.project, id);
    if (there === undefined) return new BackupRun(context, environment, options, id, operation).run();
    operation.folder.remove();
    return there;
  });
  if (!backup.automated) await replaceOldest(context, environment, backup);
  return backup;
}

/** @throws HoldfastError ENVIRONMENT_INACTIVE; CONFIG_INVALID for a safe backup without a gateway */
export function assertCanBackUp(
  environment: Pick<Environment, "id" | "status"> & { readonly gateway: unknown },
  options: Pick<CreateBackupOptions, "live">,
): void {
  assertActive(environment);
  if (options.live || environment.gateway !== undefined) return;
  throw new HoldfastError(
    "CONFIG_INVALID",
    `${environment.id} has no gateway, so its requests cannot be held for a safe backup.`,
    { remedy: "Configure a gateway for the environment, or take a live backup with --live." },
  );
}

/** Spec C2. */
export function assertActive(environment: Pick<Environment, "id" | "status">): void {
  if (environment.status === "active") return;
  throw new HoldfastError(
    "ENVIRONMENT_INACTIVE",
    `The environment ${environment.id} is ${environment.status}. Only an active environment can be backed up or restored.`,
    {
      facts: { environment: environment.id, status: environment.status },
      remedy: `Activate it first: holdfast environment:activate ${environment.id}`,
    },
  );
}

/** Spec C7: past the count, the oldest manual backups go, after the new one is complete. */
async function replaceOldest(context: EngineContext, environment: Environment, created: Backup): Promise<void> {
  const backups = await context.catalog.list(environment.project, environment.id);
  for (const old of oldestManualBackups(backups, environment.manualCount)) {
    if (old.id === created.id) continue;
    try {
      await deleteBackup(context, environment, old.id);
      context.onEvent({ type: "replaced", backup: old.id, createdAt: old.createdAt });
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      context.onEvent({
        type: "warning",
        source: undefined,
        warning: {
          kind: "replaced-backup-stays",
          message: `The older backup ${old.id} could not be deleted yet (${messageOf(error)}); the next backup replaces it.`,
        },
      });
    }
  }
}

class BackupRun {
  readonly #context: EngineContext;
  readonly #environment: Environment;
  readonly #options: CreateBackupOptions;
  readonly #id: BackupId;
  readonly #operation: Operation;
  readonly #sources: ReadonlyMap<Component, Source>;
  readonly #startedMs: number;
  readonly #createdAt: Date;
  /** From then on the snapshot may be in the repository. */
  #savesSnapshot = false;

  constructor(
    context: EngineContext,
    environment: Environment,
    options: CreateBackupOptions,
    id: BackupId,
    operation: Operation,
  ) {
    this.#context = context;
    this.#environment = environment;
    this.#options = options;
    this.#id = id;
    this.#operation = operation;
    this.#sources = new Map(environment.components.map((component) => [component, component.source()]));
    this.#startedMs = context.clock.monotonicMs();
    this.#createdAt = context.clock.now();
  }

  async run(): Promise<Backup> {
    let backup: Backup;
    try {
      backup = await this.#make();
    } catch (error) {
      // Everything has been let go of, so nothing is left for recovery to undo, unless the snapshot may be there: then
      // the journal stays, and recovery looks.
      if (!this.#savesSnapshot) this.#operation.folder.remove();
      throw error;
    }
    await this.#context.catalog.insert(backup);
    this.#operation.folder.remove();
    return backup;
  }

  async #make(): Promise<Backup> {
    let backup: Backup | undefined;
    let failure: { readonly error: unknown } | undefined;
    let writer: RepositoryWriter | undefined;
    try {
      if (!this.#options.live) await this.#environment.gateway?.assertReachable();
      writer = await this.#context.repository.writer({ signal: this.#context.signal });
      const parent = await latestSnapshot(this.#context, this.#environment);
      await this.#prepare(writer, parent);
      const { points, hold } = this.#options.live
        ? { points: await this.#freezeLive(), hold: null }
        : await this.#freezeHeld();
      backup = await this.#store(writer, parent, points, hold);
    } catch (error) {
      failure = { error };
    }
    for (const error of await this.#letGo(writer)) {
      // A backup that is complete stays one, and of a failure the first cause is told.
      if (backup === undefined && failure === undefined) failure = { error };
      else this.#operation.warn(null, { kind: "not-let-go", message: messageOf(error) });
    }
    if (failure !== undefined) throw failure.error;
    if (backup === undefined) throw new TypeError("A backup without a failure is complete.");
    return { ...backup, warnings: this.#operation.warnings };
  }

  async #prepare(writer: RepositoryWriter, parent: Snapshot | undefined): Promise<void> {
    this.#operation.folder.record({ step: "prepare" });
    const progress = this.#startPhase("prepare");
    await runTogether([...this.#sources], this.#context.signal, async ([component, source], signal) => {
      let previous: PreviousEntries | undefined;
      if (parent !== undefined) previous = await writer.previous(parent, component.path);
      await source.prepare(this.#operation.sourceContext(component.id, signal, writer, previous));
    });
    progress.end();
  }

  async #freezeLive(): Promise<FreezePoints> {
    return freezeAll(this.#context, [...this.#sources.values()], liveFreezeDeadlineMs, undefined);
  }

  async #freezeHeld(): Promise<{ points: FreezePoints; hold: HoldFigures }> {
    const { hooks } = this.#environment;
    // Recorded before the first hook, so that recovery runs the last one.
    this.#operation.folder.record({ step: "hold" });
    try {
      await runHook("beforeHold", hooks.beforeHold, this.#context.signal);
      const progress = this.#startPhase("hold");
      const { value, figures } = await whileHeld(
        this.#context,
        this.#environment,
        `backup ${this.#id}`,
        (deadlineMs, hold) => freezeAll(this.#context, [...this.#sources.values()], deadlineMs, hold),
      );
      progress.end();
      return { points: value, hold: figures };
    } finally {
      await this.#afterRelease();
    }
  }

  /** What the hook should have set going again is the user's to look at; the backup is as good as without it. */
  async #afterRelease(): Promise<void> {
    try {
      await runHook("afterRelease", this.#environment.hooks.afterRelease);
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      this.#operation.warn(null, { kind: "hook-failed", message: messageOf(error) });
    }
  }

  async #store(
    writer: RepositoryWriter,
    parent: Snapshot | undefined,
    points: FreezePoints,
    hold: HoldFigures | null,
  ): Promise<Backup> {
    this.#operation.folder.record({ step: "store" });
    const progress = this.#startPhase("store");
    const trees = await runTogether([...this.#sources], this.#context.signal, async ([component, source], signal) => {
      const stored = await storeSource(writer, source, signal);
      this.#context.onEvent({ type: "stored", source: source.id, files: stored.files, bytes: stored.bytes });
      await source.dispose();
      return { component, ...stored };
    });
    await writer.flush();
    const backup = this.#describe(writer, points, hold, trees);
    const tree = await storeBackupTree(writer, this.#environment, backup, trees);
    throwIfAborted(this.#context.signal);
    this.#savesSnapshot = true;
    const snapshot = await writer.saveSnapshot({
      time: this.#createdAt,
      tree,
      paths: [`/${this.#environment.project}/${this.#environment.id}`],
      hostname: this.#context.hostname,
      tags: snapshotTags(this.#environment, this.#id),
      ...(parent === undefined ? {} : { parent: parent.id }),
    });
    this.#operation.folder.record({ step: "snapshot", snapshot: snapshot.id });
    progress.end();
    return { ...backup, snapshot: snapshot.id, durationMs: this.#context.clock.monotonicMs() - this.#startedMs };
  }

  #describe(
    writer: RepositoryWriter,
    points: FreezePoints,
    hold: HoldFigures | null,
    trees: readonly BackupTree[],
  ): Omit<Backup, "snapshot"> {
    const times = [...points.values()].map((point) => point.at.getTime());
    const commits = trees.map(({ description }) => description.facts["commitId"]);
    return {
      id: this.#id,
      project: this.#environment.project,
      environment: this.#environment.id,
      createdAt: this.#createdAt,
      updatedAt: this.#createdAt,
      expiresAt: this.#options.expiresAt ?? null,
      status: "CREATED",
      automated: this.#options.automated ?? false,
      safe: !this.#options.live,
      restorable: true,
      commitId: commits.find((commit) => typeof commit === "string") ?? "",
      hold,
      skewMs: times.length === 0 ? 0 : Math.max(...times) - Math.min(...times),
      durationMs: this.#context.clock.monotonicMs() - this.#startedMs,
      sizeBytes: trees.reduce((sum, { bytes }) => sum + bytes, 0),
      written: writer.stats(),
      components: trees.map((tree) => describeComponent(tree, points)),
      warnings: this.#operation.warnings,
    };
  }

  #startPhase(phase: "prepare" | "hold" | "store"): PhaseProgress {
    const progress = new PhaseProgress(phase, this.#context.clock, this.#context.onEvent);
    this.#operation.progress = progress;
    return progress;
  }

  /** Every source is disposed of and the writer closed, whatever the others do; returns what failed. */
  async #letGo(writer: RepositoryWriter | undefined): Promise<unknown[]> {
    const sources = await Promise.allSettled([...this.#sources.values()].map((source) => source.dispose()));
    const closed = await Promise.allSettled([writer?.close()]);
    return [...sources, ...closed].flatMap((result) =>
      result.status === "rejected" ? [result.reason as unknown] : [],
    );
  }
}

function describeComponent(tree: BackupTree, points: FreezePoints): BackupComponent {
  const { component, description } = tree;
  const point = points.get(component.id);
  if (point === undefined) throw new TypeError(`${component.id} has no freeze point.`);
  return {
    source: component.id,
    kind: description.kind,
    path: component.path,
    ...(description.engineVersion === undefined ? {} : { engineVersion: description.engineVersion }),
    frozenAt: point.at,
    freezeMs: point.durationMs,
    freezeFacts: point.facts,
    files: tree.files,
    bytes: tree.bytes,
  };
}

type StoredSource = StoredTree & { readonly root: Entry; readonly description: SourceDescription };

/** The source's tree, and its root's own metadata, which belongs to the directory above. */
async function storeSource(writer: RepositoryWriter, source: Source, signal: AbortSignal): Promise<StoredSource> {
  let root: Entry | undefined;
  const entries = source.read(signal)[Symbol.asyncIterator]();
  const next = async (): Promise<IteratorResult<Entry>> => {
    const result = await entries.next();
    if (result.done !== true) root = result.value;
    return result;
  };
  // The first only: a promise more for each entry would take as long as to encode it.
  const iterator = {
    next: () => (root === undefined ? next() : entries.next()),
    return: async () => (await entries.return?.()) ?? { done: true as const, value: undefined },
  };
  const tree = await writer.storeTree({ [Symbol.asyncIterator]: () => iterator }, signal);
  if (root === undefined || root.path.length > 0) throw new TypeError(`${source.id} did not yield its root first.`);
  return { ...tree, root, description: source.describe() };
}

/** How a backup's snapshot is found again; with the manifest, all that a catalog is rebuilt from. */
export function snapshotTags(environment: Pick<Environment, "project" | "id">, backup: BackupId): string[] {
  return ["holdfast", `project:${environment.project}`, `environment:${environment.id}`, `backup:${backup}`];
}

/** The environment's newest snapshot, against which unchanged files are recognised. */
async function latestSnapshot(context: EngineContext, environment: Environment): Promise<Snapshot | undefined> {
  const snapshots = await context.repository.snapshots();
  const wanted: readonly string[] = snapshotTags(environment, "" as BackupId).slice(0, 3);
  return snapshots.findLast(({ tags }) => wanted.every((tag) => tags.includes(tag)));
}
