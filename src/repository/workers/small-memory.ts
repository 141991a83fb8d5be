import { setFlagsFromString } from "node:v8";
import koffi from "koffi";

/** Of mallopt(3). */
const mmapThreshold = -3;
const thresholdBytes = 256 << 10;

let isSet = false;

/**
 * Keeps the memory of a process small that works on a repository. The young generation of its heap stays as large as it
 * is by now: by itself it grows to 100 MB, of which hardly anything is ever in use. And the C library returns large
 * pieces to the system as soon as they are freed: by itself glibc raises the size of what it treats so to that of the
 * largest piece that was ever freed, and packs and chunks then stay with the process. Other C libraries do not have the
 * call, nor the habit.
 */
export function keepMemorySmall(): void {
  if (isSet) return;
  isSet = true;
  setFlagsFromString("--semi-space-growth-factor=1");
  try {
    koffi.load(null).func("mallopt", "int", ["int", "int"])(mmapThreshold, thresholdBytes);
  } catch (error) {
    // koffi throws plain errors for what it does not find.
    if (!(error instanceof Error)) throw error;
  }
}
