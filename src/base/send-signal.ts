import { systemErrorCode } from "./errors.ts";

/** Sends the signal to a process, or to the group of its own that a negative id stands for, if it is still there. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (systemErrorCode(error) !== "ESRCH") throw error;
  }
}
