import { readdirSync, statSync } from "node:fs";
import { readdir, readlink, stat, statfs } from "node:fs/promises";
import { basename } from "node:path";
import { setImmediate } from "node:timers/promises";
import { systemErrorCode } from "../../base/index.ts";

/** A process that has a file open. */
export interface Opener {
  readonly pid: number;
  /** Of its program: "node". */
  readonly name: string;
}

/** Who has a file open, as far as can be seen. */
export interface Openers {
  readonly processes: readonly Opener[];
  /** True if no other process can have it open: all processes of the machine were looked at, and the file is on its own disk. */
  readonly complete: boolean;
}

/** The kernel's first namespace of process ids (PROC_PID_INIT_INO): only there are all processes to be seen. */
const firstPidNamespace = "pid:[4026531836]";
/** statfs types of file systems that no other machine writes: ext, xfs, btrfs, tmpfs, overlay, zfs, f2fs, bcachefs. */
const localFileSystems = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010, 0xca451a4e,
]);
/** A process that ended, or a file that was closed, while we looked. */
const gone = new Set(["ENOENT", "ESRCH"]);
const denied = new Set(["EACCES", "EPERM"]);

/**
 * Looks through the open files of all processes (/proc/PID/fd), by device and inode, so that names, links and the mounts of
 * containers do not matter. 15 µs an open file. `without` leaves one process out.
 */
export async function findOpeners(path: string, without?: number): Promise<Openers> {
  const wanted = await stat(path, { bigint: true });
  const processes: Opener[] = [];
  let complete = localFileSystems.has((await statfs(path)).type);
  try {
    complete &&= (await readlink("/proc/self/ns/pid")) === firstPidNamespace;
    for (const pid of await readdir("/proc")) {
      if (!/^\d+$/.test(pid) || Number(pid) === without) continue;
      const answer = hasOpen(pid, wanted);
      // Init, the first process of all, is no application, and may be closed to root as well.
      if (answer === "hidden") complete &&= pid === "1";
      else if (answer) processes.push({ pid: Number(pid), name: await nameOf(pid) });
      // Lets others have their turn between two processes.
      await setImmediate();
    }
  } catch (error) {
    // No /proc: another system than Linux.
    if (systemErrorCode(error) !== "ENOENT") throw error;
    complete = false;
  }
  return { processes, complete };
}

/** Without waiting: a call through the thread pool costs ten times as much. */
function hasOpen(pid: string, wanted: { dev: bigint; ino: bigint }): boolean | "hidden" {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((descriptor) => {
      const found = statSync(`/proc/${pid}/fd/${descriptor}`, { bigint: true, throwIfNoEntry: false });
      return found?.dev === wanted.dev && found.ino === wanted.ino;
    });
  } catch (error) {
    const code = systemErrorCode(error) ?? "";
    if (gone.has(code)) return false;
    if (denied.has(code)) return "hidden";
    throw error;
  }
}

async function nameOf(pid: string): Promise<string> {
  try {
    return basename(await readlink(`/proc/${pid}/exe`));
  } catch (error) {
    const code = systemErrorCode(error) ?? "";
    if (gone.has(code) || denied.has(code)) return "unknown";
    throw error;
  }
}

/** "process 4711 (node), process 4712 (php-fpm)"; at most three. */
export function describeOpeners(processes: readonly Opener[]): string {
  const named = processes.slice(0, 3).map(({ pid, name }) => `process ${pid} (${name})`);
  return `${named.join(", ")}${processes.length > 3 ? ` and ${processes.length - 3} more` : ""}`;
}
