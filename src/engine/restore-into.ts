import { mkdir, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { HoldfastError, makeDirectories, systemErrorCode } from "../base/index.ts";
import { writeTree } from "../filetree/index.ts";
import { type OpenBackup, walkBackup } from "./browse.ts";
import type { EngineContext } from "./environment.ts";
import type { SourceWarning } from "./operation.ts";
import { PhaseProgress } from "./progress.ts";
import type { RestoredComponent, RestoreReport } from "./restore-backup.ts";
import type { RestorePlan, RestoreStep } from "./restore-plan.ts";

/**
 * Writes the plan's components below `directory`, laid out as in the backup. The folder is made, or empty at first; if
 * it fails, what was written is removed again.
 * @throws HoldfastError INPUT_INVALID (not empty), TARGET_FULL, ENTRY_UNSAFE, REPOSITORY_*
 */
export async function restoreInto(
  context: EngineContext,
  opened: OpenBackup,
  plan: RestorePlan,
  directory: string,
): Promise<RestoreReport> {
  const root = resolve(directory);
  const made = await claimDirectory(root);
  const startedMs = context.clock.monotonicMs();
  const progress = new PhaseProgress("stage", context.clock, context.onEvent);
  for (const step of plan.steps) {
    progress.add(step.source, { expectedFiles: step.files, expectedBytes: step.bytes });
  }
  const warnings: SourceWarning[] = [];
  const components: RestoredComponent[] = [];
  try {
    for (const step of plan.steps) {
      const path = step.below === undefined ? step.path : `${step.path}/${step.below}`;
      const target = join(root, path);
      await mkdir(join(target, ".."), { recursive: true, mode: 0o700 });
      const stage = await writeTree(
        Buffer.from(target),
        walkBackup(opened, Buffer.from(path), context.signal),
        opened.reader,
        {
          signal: context.signal,
          progress: (delta) => progress.add(step.source, delta),
          warn: (warning) => {
            warnings.push({ ...warning, source: step.source });
            context.onEvent({ type: "warning", source: step.source, warning });
          },
        },
      );
      components.push({ source: step.source, stage });
      reportStored(context, step, stage.files, stage.bytes);
    }
  } catch (error) {
    await removeContents(root, made);
    throw error;
  }
  progress.end();
  const durationMs = context.clock.monotonicMs() - startedMs;
  return { backup: opened.backup, components, hold: null, durationMs, warnings };
}

function reportStored(context: EngineContext, step: RestoreStep, files: number, bytes: number): void {
  context.onEvent({ type: "stored", source: step.source, files, bytes });
}

/** True if the folder was made here. @throws HoldfastError INPUT_INVALID */
async function claimDirectory(root: string): Promise<boolean> {
  try {
    const names = await readdir(root);
    if (names.length === 0) return false;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") {
      await makeDirectories(root, 0o700);
      return true;
    }
    throw new HoldfastError("INPUT_INVALID", `${root} cannot be used as a folder to restore into.`, { cause: error });
  }
  throw new HoldfastError("INPUT_INVALID", `The folder ${root} is not empty.`, {
    facts: { directory: root },
    remedy: "Name a folder that is empty or does not exist yet.",
  });
}

async function removeContents(root: string, made: boolean): Promise<void> {
  if (made) {
    await rm(root, { recursive: true, force: true });
    return;
  }
  for (const name of await readdir(root)) await rm(join(root, name), { recursive: true, force: true });
}
