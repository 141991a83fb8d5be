import koffi from "koffi";

/** Of mallopt(3). */
const mmapThreshold = -3;
const thresholdBytes = 256 << 10;

let isSet = false;

/**
 * Has the C library return large pieces of memory to the system as soon as they are freed. By itself glibc raises the
 * size of what it treats so to that of the largest piece that was ever freed, and packs and chunks then stay with the
 * process. Other C libraries do not have the call, nor the habit.
 */
export function returnLargeMemory(): void {
  if (isSet) return;
  isSet = true;
  try {
    koffi.load(null).func("mallopt", "int", ["int", "int"])(mmapThreshold, thresholdBytes);
  } catch (error) {
    // koffi throws plain errors for what it does not find.
    if (!(error instanceof Error)) throw error;
  }
}
