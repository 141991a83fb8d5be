import { newOperationId, type OperationId, type SourceId, throwIfAborted } from "../base/index.ts";
import type {
  ContentReader,
  ContentStore,
  PreviousEntries,
  SourceContext,
  TargetContext,
  Warning,
} from "../component/index.ts";
import { lockEnvironment } from "./environment-lock.ts";
import type { ProcessLock } from "./process-lock.ts";
import type { EngineContext, Environment } from "./environment.ts";
import { type OperationBegin, OperationFolder, type OperationKind } from "./journal.ts";
import type { PhaseProgress } from "./progress.ts";
import { recoverEnvironment } from "./recover.ts";

export type SourceWarning = Warning & { readonly source: SourceId | null };

/** One run of backup, restore or delete: its lock, its folder, its journal, the warnings so far. */
export class Operation {
  readonly id: OperationId;
  readonly folder: OperationFolder;
  readonly warnings: SourceWarning[] = [];
  /** Where components' progress goes; set at the start of each phase. */
  progress: PhaseProgress | undefined;
  readonly #context: EngineContext;

  constructor(context: EngineContext, begin: OperationBegin) {
    this.#context = context;
    this.id = begin.operation;
    this.folder = OperationFolder.begin(context.stateDirectory, begin);
  }

  warn(source: SourceId | null, warning: Warning): void {
    this.warnings.push({ ...warning, source });
    this.#context.onEvent({ type: "warning", source: source ?? undefined, warning });
  }

  sourceContext(
    source: SourceId,
    signal: AbortSignal,
    store: ContentStore,
    previous: PreviousEntries | undefined,
  ): SourceContext {
    return { ...this.#componentContext(source, signal), store, ...(previous === undefined ? {} : { previous }) };
  }

  targetContext(source: SourceId, signal: AbortSignal, contents: ContentReader): TargetContext {
    return { ...this.#componentContext(source, signal), contents };
  }

  #componentContext(source: SourceId, signal: AbortSignal): Omit<TargetContext, "contents"> {
    return {
      operationId: this.id,
      workDirectory: this.folder.workDirectory(source),
      clock: this.#context.clock,
      log: this.#context.log,
      signal,
      warn: (warning) => this.warn(source, warning),
      progress: (delta) => this.progress?.add(source, delta),
    };
  }
}

/**
 * Runs `body` as the only operation on the environment, after what a crashed one left behind has been undone.
 * The journal stays in place if `body` throws without having undone its effects; `body` ends it otherwise.
 * @throws HoldfastError ENVIRONMENT_BUSY, RECOVERY_FAILED, INTERRUPTED, and what `body` throws
 */
export async function runOperation<T>(
  context: EngineContext,
  environment: Environment,
  kind: OperationKind,
  begin: Pick<OperationBegin, "backup" | "components"> & { readonly operation?: OperationId },
  body: (operation: Operation) => Promise<T>,
): Promise<T> {
  throwIfAborted(context.signal);
  const id = begin.operation ?? newOperationId();
  const lock: ProcessLock = lockEnvironment(context.stateDirectory, environment, { id, kind });
  try {
    await recoverEnvironment(context, environment);
    const operation = new Operation(context, {
      step: "begin",
      kind,
      project: environment.project,
      environment: environment.id,
      at: context.clock.now().toISOString(),
      ...begin,
      operation: id,
    });
    return await body(operation);
  } finally {
    lock.release();
  }
}

/**
 * Runs tasks beside each other under one signal: the first failure aborts the others, all are awaited, the first failure
 * is thrown.
 */
export async function runTogether<I, T>(
  items: readonly I[],
  signal: AbortSignal,
  task: (item: I, signal: AbortSignal) => Promise<T>,
): Promise<T[]> {
  const failed = new AbortController();
  const together = AbortSignal.any([signal, failed.signal]);
  let first: { readonly error: unknown } | undefined;
  const results = await Promise.allSettled(
    items.map(async (item) => {
      try {
        return await task(item, together);
      } catch (error) {
        first ??= { error };
        failed.abort(error);
        throw error;
      }
    }),
  );
  if (first !== undefined) throw first.error;
  return results.map((result) => (result as PromiseFulfilledResult<T>).value);
}
