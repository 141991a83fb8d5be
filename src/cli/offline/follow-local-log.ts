import { type OperationId, type ProjectId, throwIfAborted } from "../../base/index.ts";
import { type ActivityStore, hasEnded } from "../../control/index.ts";
import type { ActivityLogLine } from "../control-plane.ts";

/** Lines that are read at once. */
const pieceLength = 500;

/** An activity's log out of the catalog; with `follow` until it has ended. @throws HoldfastError INTERRUPTED */
export async function* localLog(
  activities: ActivityStore,
  project: ProjectId,
  id: OperationId,
  { follow, signal }: { readonly follow: boolean; readonly signal: AbortSignal },
): AsyncIterable<ActivityLogLine> {
  let changed = true;
  let wake = (): void => undefined;
  const leave = activities.watch(() => {
    changed = true;
    wake();
  });
  const onAbort = (): void => wake();
  signal.addEventListener("abort", onAbort);
  try {
    let next = 0;
    for (;;) {
      throwIfAborted(signal);
      changed = false;
      // Before the log is read: one that has ended gets no more of it.
      const activity = await activities.get(project, id);
      const entries = await activities.log(project, id, { from: next, limit: pieceLength });
      for (const { sequence, at, message } of entries) {
        yield { at, message: message.endsWith("\n") ? message : `${message}\n` };
        next = sequence + 1;
      }
      if (entries.length === pieceLength) continue;
      if (activity === undefined || hasEnded(activity) || !follow) return;
      if (!changed && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    leave();
    signal.removeEventListener("abort", onAbort);
  }
}
