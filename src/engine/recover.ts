import { HoldfastError, isHoldfastError, messageOf, newOperationId, type SourceId } from "../base/index.ts";
import type { ContentReader, ContentStore, Source, SourceContext, Target, TargetContext } from "../component/index.ts";
import { readManifest } from "./browse.ts";
import { removeBackup } from "./delete-backup.ts";
import { lockEnvironment } from "./environment-lock.ts";
import type { EngineContext, Environment } from "./environment.ts";
import { whileHeld } from "./freeze.ts";
import { runHook } from "./hooks.ts";
import { type OperationBegin, type OperationFolder, operationFolders } from "./journal.ts";

/**
 * Undoes, or finishes, what a process left behind that died in the middle of an operation on this environment. Called
 * under the environment's lock, so that whoever wrote an unfinished journal is dead.
 * @throws HoldfastError RECOVERY_FAILED: the journal stays, and the next operation tries again
 */
export async function recoverEnvironment(context: EngineContext, environment: Environment): Promise<void> {
  for (const folder of operationFolders(context.stateDirectory)) {
    const records = folder.records();
    const begin = records[0];
    if (begin === undefined || begin.step !== "begin") {
      // Killed while the folder was removed, its journal first: there is nothing to undo.
      folder.remove();
      continue;
    }
    if (begin.project !== environment.project || begin.environment !== environment.id) continue;
    const steps = new Set(records.map(({ step }) => step));
    try {
      const outcome = await recoverOperation(context, environment, folder, begin, steps);
      folder.remove();
      context.onEvent({ type: "recovered", operation: `${begin.kind} ${begin.operation}`, outcome });
    } catch (error) {
      throw new HoldfastError(
        "RECOVERY_FAILED",
        `The ${begin.kind} ${begin.operation} of ${begin.at} was interrupted, and undoing it failed: ${messageOf(error)}`,
        {
          facts: { operation: begin.operation, kind: begin.kind, environment: environment.id },
          remedy:
            isHoldfastError(error, "SOURCE_NOT_FOUND") && error.remedy !== undefined
              ? error.remedy
              : "Mend the cause and run any command on the environment again: it goes on where this stopped.",
          cause: error,
        },
      );
    }
  }
}

/**
 * As every operation does first: takes the environment's lock and undoes, or finishes, what a dead process left behind.
 * @throws HoldfastError ENVIRONMENT_BUSY, RECOVERY_FAILED, STATE_UNUSABLE
 */
export async function recoverInterrupted(context: EngineContext, environment: Environment): Promise<void> {
  const lock = lockEnvironment(context.stateDirectory, environment, { id: newOperationId(), kind: "recovery" });
  try {
    await recoverEnvironment(context, environment);
  } finally {
    lock.release();
  }
}

async function recoverOperation(
  context: EngineContext,
  environment: Environment,
  folder: OperationFolder,
  begin: OperationBegin,
  steps: ReadonlySet<string>,
): Promise<string> {
  switch (begin.kind) {
    case "backup":
      return recoverBackup(context, environment, folder, begin, steps);
    case "restore": {
      const outcome = await recoverRestore(context, environment, folder, begin, steps);
      if (steps.has("stage")) await runLastHook(context, environment, "afterRestore");
      return outcome;
    }
    case "delete":
      return recoverDelete(context, begin);
  }
}

/** What the dead process's first hook stopped is set going again; if that fails, it is the user's to look at. */
async function runLastHook(
  context: EngineContext,
  environment: Environment,
  name: "afterRelease" | "afterRestore",
): Promise<void> {
  try {
    await runHook(name, environment.hooks[name]);
  } catch (error) {
    if (!isHoldfastError(error)) throw error;
    context.onEvent({
      type: "warning",
      source: undefined,
      warning: { kind: "hook-failed", message: messageOf(error) },
    });
  }
}

/** A repository that others use does not stop what comes next on this environment: the backup stays DELETING. */
async function recoverDelete(context: EngineContext, begin: OperationBegin): Promise<string> {
  const backup = await context.catalog.get(begin.project, begin.backup);
  if (backup?.status !== "DELETING") return "deletion finished";
  try {
    await removeBackup(context, backup);
    return "deletion finished";
  } catch (error) {
    if (!isHoldfastError(error, "REPOSITORY_LOCKED")) throw error;
    return `not finished, because the repository is in use: delete ${begin.backup} again`;
  }
}

/** The gateway first, then each source; then the catalog gets a backup whose snapshot was complete. */
async function recoverBackup(
  context: EngineContext,
  environment: Environment,
  folder: OperationFolder,
  begin: OperationBegin,
  steps: ReadonlySet<string>,
): Promise<string> {
  await environment.gateway?.releaseAbandoned();
  if (steps.has("hold") && !steps.has("store")) await runLastHook(context, environment, "afterRelease");
  const { present, missing } = componentsOf(environment, begin);
  for (const { component } of present) {
    const { id } = component;
    const source: Source = component.source();
    await source.recover(componentContext(context, folder, begin, id, { store: nothingToStore }));
    await source.dispose();
  }
  refuseMissing(environment, begin, missing);
  const snapshots = await context.repository.snapshots();
  const snapshot = snapshots.find(({ tags }) => tags.includes(`backup:${begin.backup}`));
  if (snapshot === undefined) return "undone: no backup was made";
  if ((await context.catalog.get(begin.project, begin.backup)) === undefined) {
    const { backup } = await readManifest(context.repository, snapshot);
    await context.catalog.insert({ ...backup, snapshot: snapshot.id });
  }
  return `finished: the backup ${begin.backup} was complete`;
}

/** Before the point where all had swapped: back to the old data, under a hold if any swap began. After it: settle. */
async function recoverRestore(
  context: EngineContext,
  environment: Environment,
  folder: OperationFolder,
  begin: OperationBegin,
  steps: ReadonlySet<string>,
): Promise<string> {
  await environment.gateway?.releaseAbandoned();
  const { present, missing } = componentsOf(environment, begin);
  const targets = present.map(({ component, below }): [Target, TargetContext] => [
    component.target(below),
    componentContext(context, folder, begin, component.id, { contents: nothingToRead }),
  ]);
  if (steps.has("swapped")) {
    for (const [target, targetContext] of targets) await target.settle(targetContext);
    refuseMissing(environment, begin, missing);
    await context.catalog.operationFinished(begin.project, begin.operation);
    return `finished: restored to ${begin.backup}`;
  }
  // Beside each other: requests may be held meanwhile.
  const undoAll = async (undo: (target: Target, targetContext: TargetContext) => Promise<void>): Promise<void> => {
    const results = await Promise.allSettled(targets.map(([target, targetContext]) => undo(target, targetContext)));
    const failure = results.find((result) => result.status === "rejected");
    if (failure !== undefined) throw failure.reason;
  };
  if (steps.has("swap") && environment.gateway !== undefined) {
    await heldIfPossible(context, environment, begin, () =>
      undoAll((target, targetContext) => target.swapBack(targetContext)),
    );
  }
  // After the release: dropping what was staged may take longer than a client waits.
  await undoAll((target, targetContext) => target.revert(targetContext));
  refuseMissing(environment, begin, missing);
  return "undone: the environment is as it was before the restore";
}

/**
 * A half-swapped environment must come back even if its requests do not drain, its gateway is down, or exchanging back
 * takes longer than requests may be held.
 */
async function heldIfPossible(
  context: EngineContext,
  environment: Environment,
  begin: OperationBegin,
  swapAllBack: () => Promise<void>,
): Promise<void> {
  let begun = false;
  let isBack = false;
  try {
    await whileHeld(context, environment, `recovery of ${begin.operation}`, async () => {
      begun = true;
      await swapAllBack();
      isBack = true;
    });
  } catch (error) {
    const onlyTheHold = error instanceof HoldfastError && /^(GATEWAY|HOLD)_/.test(error.code);
    if (!onlyTheHold || (begun && !isBack)) throw error;
    context.log.warn(isBack ? "The hold was lost while exchanging back" : "Exchanging back without a hold", {
      reason: error.message,
    });
    if (!isBack) await swapAllBack();
  }
}

interface InterruptedComponents {
  readonly present: readonly { readonly component: Environment["components"][number]; readonly below?: string }[];
  /** Ids of those that are no longer in the configuration: how to reach them is not known any more. */
  readonly missing: readonly SourceId[];
}

function componentsOf(environment: Environment, begin: OperationBegin): InterruptedComponents {
  const byId = new Map(environment.components.map((component) => [component.id, component]));
  const present: { component: Environment["components"][number]; below?: string }[] = [];
  const missing: SourceId[] = [];
  for (const { source, folder } of begin.components) {
    const component = byId.get(source);
    if (component === undefined) missing.push(source);
    else present.push({ component, ...(folder === undefined ? {} : { below: folder }) });
  }
  return { present, missing };
}

/** Called once all others are recovered. @throws HoldfastError SOURCE_NOT_FOUND */
function refuseMissing(environment: Environment, begin: OperationBegin, missing: readonly SourceId[]): void {
  if (missing.length === 0) return;
  const names = missing.join(", ");
  const are = missing.length === 1 ? "is" : "are";
  throw new HoldfastError(
    "SOURCE_NOT_FOUND",
    `${names} took part and ${are} no longer in the configuration of ${environment.id}; every other component has been recovered.`,
    {
      facts: { missing: names, operation: begin.operation },
      remedy: `Put ${names} back into the configuration as before, run any command on ${environment.id}, for example backup:create, and remove ${missing.length === 1 ? "it" : "them"} again after that.`,
    },
  );
}

function componentContext<T>(
  context: EngineContext,
  folder: OperationFolder,
  begin: OperationBegin,
  source: SourceId,
  contents: T,
): Omit<SourceContext, "store"> & T {
  return {
    operationId: begin.operation,
    workDirectory: folder.workDirectory(source),
    clock: context.clock,
    log: context.log,
    signal: context.signal,
    warn: (warning) => context.onEvent({ type: "warning", source: undefined, warning }),
    progress: () => undefined,
    ...contents,
  };
}

const refuse = (): never => {
  throw new TypeError("Recovery neither stores nor reads contents.");
};
const nothingToStore: ContentStore = { storeFiles: refuse, storeStream: refuse };
const nothingToRead: ContentReader = { writeFiles: refuse, read: refuse };
