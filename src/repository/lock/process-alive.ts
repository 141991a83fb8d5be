import { readFile, readlink } from "node:fs/promises";
import { systemErrorCode } from "../../base/index.ts";

/** USER_HZ: the unit of times in /proc, the same on every Linux. */
const ticksPerSecond = 100;

/**
 * Names this boot of this machine and the namespace that process ids count in: containers share hostnames, and ids mean
 * nothing between them. Empty where the system does not tell; then it is like no other.
 */
export async function machineId(): Promise<string> {
  try {
    const [boot, namespace] = await Promise.all([
      readFile("/proc/sys/kernel/random/boot_id", "utf8"),
      readlink("/proc/self/ns/pid"),
    ]);
    return `${boot.trim()} ${namespace}`;
  } catch (error) {
    if (isHidden(error)) return "";
    throw error;
  }
}

/** Whether the process with this id that began at this tick is still there. Both of this machine. */
export async function isRunning(pid: number, startTicks: number): Promise<boolean> {
  if (!exists(pid)) return false;
  const found = await processStartTicks(pid);
  return found === undefined || startTicks < 0 || found === startTicks;
}

/**
 * Whether the process that wrote something at `writtenAt` can still be running on this host: a process has its id, and
 * that process is not younger than what was written (ids are used again, in containers within seconds).
 */
export async function mayBeRunning(pid: number, writtenAt: Date): Promise<boolean> {
  if (!exists(pid)) return false;
  const startedAtMs = await processStart(pid);
  return startedAtMs === undefined || startedAtMs <= writtenAt.getTime();
}

function exists(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "ESRCH") return false;
    if (systemErrorCode(error) === "EPERM") return true;
    throw error;
  }
}

/** Clock ticks from boot to the start of the process; undefined where the system does not tell. */
export async function processStartTicks(pid: number): Promise<number | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The second field is a name in parentheses that may hold anything; the 22nd is the start since boot.
    const ticks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
    return Number.isFinite(ticks) ? ticks : undefined;
  } catch (error) {
    if (isHidden(error)) return undefined;
    throw error;
  }
}

/** Wall-clock milliseconds at which the process began; undefined where the system does not tell. */
async function processStart(pid: number): Promise<number | undefined> {
  const startTicks = await processStartTicks(pid);
  if (startTicks === undefined) return undefined;
  try {
    const upSeconds = Number((await readFile("/proc/uptime", "utf8")).split(" ")[0]);
    return Number.isFinite(upSeconds) ? Date.now() - (upSeconds - startTicks / ticksPerSecond) * 1000 : undefined;
  } catch (error) {
    if (isHidden(error)) return undefined;
    throw error;
  }
}

function isHidden(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM";
}
