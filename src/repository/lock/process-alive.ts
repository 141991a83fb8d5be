import { readFile } from "node:fs/promises";
import { systemErrorCode } from "../../base/index.ts";

/** USER_HZ: the unit of times in /proc, the same on every Linux. */
const ticksPerSecond = 100;

/**
 * Whether the process that wrote something at `writtenAt` can still be running on this host: a process has its id, and
 * that process is not younger than what was written (ids are used again, in containers within seconds).
 */
export async function mayBeRunning(pid: number, writtenAt: Date): Promise<boolean> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (systemErrorCode(error) === "ESRCH") return false;
    if (systemErrorCode(error) !== "EPERM") throw error;
  }
  const startedAtMs = await processStart(pid);
  return startedAtMs === undefined || startedAtMs <= writtenAt.getTime();
}

/** Wall-clock milliseconds at which the process began; undefined where the system does not tell. */
async function processStart(pid: number): Promise<number | undefined> {
  try {
    const [stat, uptime] = await Promise.all([readFile(`/proc/${pid}/stat`, "utf8"), readFile("/proc/uptime", "utf8")]);
    // The second field is a name in parentheses that may hold anything; the 22nd is the start since boot.
    const startTicks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
    const upSeconds = Number(uptime.split(" ")[0]);
    if (!Number.isFinite(startTicks) || !Number.isFinite(upSeconds)) return undefined;
    return Date.now() - (upSeconds - startTicks / ticksPerSecond) * 1000;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES") return undefined;
    throw error;
  }
}
