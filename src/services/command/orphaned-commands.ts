import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError, type OperationId, sendSignal, type SourceId, systemErrorCode } from "../../base/index.ts";

/** In the environment of every restore command, so that one that outlives its Holdfast is known. */
export const restoreVariable = "HOLDFAST_RESTORE";

export const restoreMark = (operation: OperationId, component: SourceId): string => `${operation} ${component}`;

const patienceMs = 10_000;
/** Of a process that is gone, or not ours to look at. */
const unreadable: ReadonlySet<string | undefined> = new Set(["ENOENT", "ESRCH", "EACCES", "EPERM"]);

/**
 * Ends, with all that they started, restore commands with this mark that a killed Holdfast left behind: they could still replace
 * what is restored next. Those behind an `exec` prefix on another machine or in a container are not seen.
 * @throws HoldfastError RECOVERY_FAILED if one does not go within 10 s
 */
export async function endOrphanedRestores(mark: string): Promise<void> {
  const startedAtMs = performance.now();
  for (;;) {
    const orphans = await markedProcesses(`${restoreVariable}=${mark}`);
    if (orphans.length === 0) return;
    if (performance.now() - startedAtMs > patienceMs) {
      const pids = orphans.join(", ");
      throw new HoldfastError(
        "RECOVERY_FAILED",
        `A restore command of a killed Holdfast does not end: process ${pids}.`,
        {
          facts: { processes: pids },
          remedy: "End it, then run any command of Holdfast: it tries again. Nothing was changed.",
        },
      );
    }
    for (const pid of orphans) sendSignal(pid, "SIGKILL");
    await delay(5);
  }
}

async function markedProcesses(entry: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    try {
      const environment = await readFile(`/proc/${name}/environ`, "latin1");
      if (environment.split("\0").includes(entry)) found.push(Number(name));
    } catch (error) {
      if (!unreadable.has(systemErrorCode(error))) throw error;
    }
  }
  return found;
}
