import { HoldfastError, isHoldfastError, messageOf, type SourceId, throwIfAborted } from "../base/index.ts";
import type { SourceDescription, StageReport, SwapReport, Target, TargetContext } from "../component/index.ts";
import type { HoldFigures } from "../gateway/index.ts";
import { findInBackup, type OpenBackup, openBackup, walkBackup } from "./browse.ts";
import type { Backup } from "./catalog.ts";
import { assertActive } from "./create-backup.ts";
import { findBackup } from "./delete-backup.ts";
import type { EngineContext, Environment, RestoreBackupOptions } from "./environment.ts";
import { liveFreezeDeadlineMs, whileHeld } from "./freeze.ts";
import { runHook } from "./hooks.ts";
import { type Operation, runOperation, runTogether, type SourceWarning } from "./operation.ts";
import { PhaseProgress } from "./progress.ts";
import { restoreInto } from "./restore-into.ts";
import { planRestoreSteps, type RestorePlan, type RestoreStep } from "./restore-plan.ts";

export interface RestoredComponent {
  readonly source: SourceId;
  readonly stage: StageReport;
  /** Undefined if it was written into a folder. */
  readonly swap?: SwapReport;
}

export interface RestoreReport {
  readonly backup: Backup;
  readonly components: readonly RestoredComponent[];
  /** Null without a gateway, or into a folder: then no request was held. */
  readonly hold: HoldFigures | null;
  readonly durationMs: number;
  readonly warnings: readonly SourceWarning[];
}

/** What `restoreBackup` would do with the same options; for the confirmation. @throws as it, before it changes anything */
export async function planRestore(
  context: EngineContext,
  environment: Environment,
  options: RestoreBackupOptions,
): Promise<RestorePlan> {
  const opened = await openRestorable(context, environment, options);
  try {
    const plan = planRestoreSteps(opened.manifest, opened.backup, environment, options);
    await assertPartsExist(opened, plan);
    return plan;
  } finally {
    await opened.close();
  }
}

/**
 * Restores all or nothing: stage everything beside the live data, hold, swap all, release, settle. If anything fails
 * before all have swapped, everything is as it was; after it, everything is restored.
 * @throws HoldfastError BACKUP_NOT_FOUND, BACKUP_NOT_RESTORABLE, ENVIRONMENT_*, SERVICE_*, TARGET_FULL, HOLD_*, INTERRUPTED
 */
export async function restoreBackup(
  context: EngineContext,
  environment: Environment,
  options: RestoreBackupOptions,
): Promise<RestoreReport> {
  const opened = await openRestorable(context, environment, options);
  try {
    const plan = planRestoreSteps(opened.manifest, opened.backup, environment, options);
    await assertPartsExist(opened, plan);
    if (options.into !== undefined) return await restoreInto(context, opened, plan, options.into);
    assertActive(environment);
    const components = plan.steps.map(({ source, below }) => ({
      source,
      ...(below === undefined ? {} : { folder: below }),
    }));
    const begin = {
      backup: options.backup,
      components,
      ...(options.operation === undefined ? {} : { operation: options.operation }),
    };
    return await runOperation(context, environment, "restore", begin, (operation) =>
      new RestoreRun(context, environment, opened, plan, operation).run(),
    );
  } finally {
    await opened.close();
  }
}

async function openRestorable(
  context: EngineContext,
  environment: Environment,
  options: RestoreBackupOptions,
): Promise<OpenBackup> {
  const source = options.sourceEnvironment ?? environment.id;
  const backup = await findBackup(context, { project: environment.project, id: source }, options.backup);
  if (!backup.restorable || backup.status !== "CREATED") {
    throw new HoldfastError("BACKUP_NOT_RESTORABLE", `The backup ${backup.id} cannot be restored.`, {
      facts: { backup: backup.id, status: backup.status },
      remedy: "Choose a restorable one: holdfast backup:list",
    });
  }
  return openBackup(context.repository, backup, context.signal);
}

/** Nothing is begun, not even a folder made, for a part that the backup does not have. */
async function assertPartsExist(opened: OpenBackup, plan: RestorePlan): Promise<void> {
  for (const { path, below } of plan.steps) {
    if (below !== undefined) await findInBackup(opened, Buffer.from(`${path}/${below}`));
  }
}

interface StagedComponent {
  readonly step: RestoreStep;
  readonly target: Target;
  readonly targetContext: TargetContext;
}

class RestoreRun {
  readonly #context: EngineContext;
  readonly #environment: Environment;
  readonly #opened: OpenBackup;
  readonly #operation: Operation;
  readonly #components: readonly StagedComponent[];
  readonly #startedMs: number;
  readonly #stages = new Map<SourceId, StageReport>();
  readonly #swaps = new Map<SourceId, SwapReport>();
  #hold: HoldFigures | null = null;
  #hasSwapped = false;

  constructor(
    context: EngineContext,
    environment: Environment,
    opened: OpenBackup,
    plan: RestorePlan,
    operation: Operation,
  ) {
    this.#context = context;
    this.#environment = environment;
    this.#opened = opened;
    this.#operation = operation;
    this.#startedMs = context.clock.monotonicMs();
    this.#components = plan.steps.map((step) => {
      if (step.component === undefined) throw new TypeError(`${step.source} has no component to restore to.`);
      return {
        step,
        target: step.component.target(step.below),
        targetContext: operation.targetContext(step.source, context.signal, opened.reader),
      };
    });
  }

  async run(): Promise<RestoreReport> {
    // Recorded before the first hook, so that recovery runs the last one.
    this.#operation.folder.record({ step: "stage" });
    try {
      await this.#environment.gateway?.assertReachable();
      await runHook("beforeRestore", this.#environment.hooks.beforeRestore, this.#context.signal);
      await this.#stageAll();
      // The last moment at which stopping costs nothing; a target that is done staging has not looked.
      throwIfAborted(this.#context.signal);
      await this.#swapHeld();
    } catch (error) {
      if (!this.#hasSwapped) {
        await this.#undoAfter(error, (target, targetContext) => target.revert(targetContext));
        await this.#afterRestore();
        this.#operation.folder.remove();
        throw error;
      }
      // Past the point of no return only the release can have failed: the data is restored, so settle it and say so.
      this.#operation.warn(null, { kind: "hold-lost", message: messageOf(error) });
    }
    const settled = await this.#settleAll();
    await this.#afterRestore();
    if (settled && (await this.#tellFinished())) this.#operation.folder.remove();
    return {
      backup: this.#opened.backup,
      components: this.#components.map(({ step: { source } }) => reportOf(source, this.#stages, this.#swaps)),
      hold: this.#hold,
      durationMs: this.#context.clock.monotonicMs() - this.#startedMs,
      warnings: this.#operation.warnings,
    };
  }

  /** Also after a failure: it starts again what `beforeRestore` stopped. The data is what it is by now. */
  async #afterRestore(): Promise<void> {
    try {
      await runHook("afterRestore", this.#environment.hooks.afterRestore);
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      this.#operation.warn(null, { kind: "hook-failed", message: messageOf(error) });
    }
  }

  async #stageAll(): Promise<void> {
    const progress = this.#startPhase("stage");
    for (const { step } of this.#components) {
      progress.add(step.source, { expectedFiles: step.files, expectedBytes: step.bytes });
    }
    await runTogether(this.#components, this.#context.signal, async (component, signal) => {
      const { step, target, targetContext } = component;
      const path = Buffer.from(step.below === undefined ? step.path : `${step.path}/${step.below}`);
      const description = this.#opened.manifest.descriptions.get(step.source);
      if (description === undefined) throw new TypeError(`The manifest does not describe ${step.source}.`);
      const entries = walkBackup(this.#opened, path, signal);
      const report = await target.stage(
        { ...targetContext, signal },
        { description: step.below === undefined ? description : ofAPart(description), entries },
      );
      this.#stages.set(step.source, report);
      this.#context.onEvent({ type: "stored", source: step.source, files: report.files, bytes: report.bytes });
    });
    progress.end();
  }

  async #swapHeld(): Promise<void> {
    this.#operation.folder.record({ step: "swap" });
    const progress = this.#startPhase("hold");
    if (this.#environment.gateway === undefined) {
      await this.#swapAll(liveFreezeDeadlineMs, undefined);
    } else {
      const owner = `restore ${this.#opened.backup.id}`;
      const { figures } = await whileHeld(this.#context, this.#environment, owner, (deadlineMs, hold) =>
        this.#swapAll(deadlineMs, hold.lost),
      );
      this.#hold = figures;
    }
    progress.end();
  }

  /** All swap or all are as before, still inside the hold. The journal's `swapped` is the point of no return. */
  async #swapAll(deadlineMs: number, lost: AbortSignal | undefined): Promise<void> {
    const results = await Promise.allSettled(
      this.#components.map(async ({ step, target, targetContext }) => {
        const report = await target.swap(targetContext, deadlineMs);
        this.#swaps.set(step.source, report);
        this.#context.onEvent({ type: "swapped", source: step.source, report });
      }),
    );
    const failure = results.find((result) => result.status === "rejected");
    try {
      if (failure !== undefined) throw failure.reason;
      if (lost?.aborted === true) throw lost.reason;
      this.#operation.folder.record({ step: "swapped" });
      this.#hasSwapped = true;
    } catch (error) {
      // Dropping what was staged may take long, so that is done after the release.
      await this.#undoAfter(error, (target, targetContext) => target.swapBack(targetContext));
      throw error;
    }
  }

  /** If undoing itself fails, the journal stays for recovery and both errors are told. */
  async #undoAfter(
    reason: unknown,
    undo: (target: Target, targetContext: TargetContext) => Promise<void>,
  ): Promise<void> {
    const results = await Promise.allSettled(
      this.#components.map(({ target, targetContext }) => undo(target, targetContext)),
    );
    const failure = results.find((result) => result.status === "rejected");
    if (failure !== undefined) {
      throw new HoldfastError(
        "RECOVERY_FAILED",
        `The restore failed (${messageOf(reason)}), and undoing it failed: ${messageOf(failure.reason)}`,
        {
          remedy: "Mend the cause and run any command on the environment again: it goes on undoing.",
          cause: new AggregateError([reason, failure.reason]),
        },
      );
    }
  }

  /** False if old data is still there: everything is restored all the same, and the journal stays for recovery. */
  async #settleAll(): Promise<boolean> {
    const progress = this.#startPhase("settle");
    const results = await Promise.allSettled(
      this.#components.map(({ target, targetContext }) => target.settle(targetContext)),
    );
    let settled = true;
    results.forEach((result, index) => {
      if (result.status === "fulfilled") return;
      settled = false;
      this.#operation.warn(this.#components[index]?.step.source ?? null, {
        kind: "old-data-stays",
        message: `It is restored, but the old data could not be dropped (${messageOf(result.reason)}); the next operation on the environment drops it.`,
      });
    });
    progress.end();
    return settled;
  }

  /** False if the catalog could not be told: the journal stays, and recovery tells it. */
  async #tellFinished(): Promise<boolean> {
    try {
      await this.#context.catalog.operationFinished(this.#environment.project, this.#operation.id);
      return true;
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      this.#operation.warn(null, {
        kind: "not-recorded",
        message: `It is restored, but the catalog could not be told (${messageOf(error)}); the next operation on the environment tells it.`,
      });
      return false;
    }
  }

  #startPhase(phase: "stage" | "hold" | "settle"): PhaseProgress {
    const progress = new PhaseProgress(phase, this.#context.clock, this.#context.onEvent);
    this.#operation.progress = progress;
    return progress;
  }
}

/** What the manifest counts is of the whole component: a part of it needs less room, and how much is not known. */
function ofAPart(description: SourceDescription): SourceDescription {
  const { diskBytes: _, ...facts } = description.facts;
  return { ...description, counts: {}, facts };
}

function reportOf(
  source: SourceId,
  stages: ReadonlyMap<SourceId, StageReport>,
  swaps: ReadonlyMap<SourceId, SwapReport>,
): RestoredComponent {
  const stage = stages.get(source);
  if (stage === undefined) throw new TypeError(`${source} was not staged.`);
  const swap = swaps.get(source);
  return { source, stage, ...(swap === undefined ? {} : { swap }) };
}
