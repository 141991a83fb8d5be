import { HoldfastError, isHoldfastError, type ProjectId } from "../../base/index.ts";
import { type ApiClient, failureError, followLog, patiently } from "../../client/index.ts";
import type { ListedActivity } from "../control-plane.ts";
import type { CliHost } from "../host.ts";
import type { ProgressDisplay } from "../progress/progress-display.ts";
import { activityOf } from "./activity-answers.ts";

/**
 * Waits for the end of an activity and shows its log meanwhile. Interrupted, it goes on at the server.
 * @throws HoldfastError what it failed with; INTERRUPTED if it was cancelled, or this process was
 */
export async function awaitActivity(
  client: ApiClient,
  project: ProjectId,
  { id }: ListedActivity,
  progress: ProgressDisplay,
  { clock, signal }: CliHost,
): Promise<ListedActivity> {
  try {
    for await (const { message } of followLog(client, { project, activity: id, clock, signal })) {
      progress.show({ type: "log", message: message.trimEnd() });
    }
    const ended = activityOf(
      await patiently({ clock, signal }, () => client.call("getActivity", { parameters: { project, activity: id } })),
    );
    assertDone(ended);
    return ended;
  } catch (error) {
    if (!signal.aborted && !isHoldfastError(error, "SERVER_UNREACHABLE")) throw error;
    const code = signal.aborted ? "INTERRUPTED" : "SERVER_UNREACHABLE";
    const why = signal.aborted ? "Interrupted" : "The server was away for too long";
    throw new HoldfastError(
      code,
      `${why}: nobody waits any more for the activity ${id}, which goes on at the server.`,
      {
        facts: { activity: id },
        remedy: `See how it goes:  holdfast activity:log ${id}   Stop it:  holdfast activity:cancel ${id}`,
        cause: error,
      },
    );
  }
}

function assertDone({ id, result, outcome, failure }: ListedActivity): void {
  if (result === "success") return;
  if (failure !== null) throw failureError(failure);
  if (outcome === "cancelled") throw new HoldfastError("INTERRUPTED", `The activity ${id} was cancelled.`);
  throw new HoldfastError("INTERNAL", `The activity ${id} ended as ${outcome ?? "nothing"}.`, {
    remedy: `Its log may say why:  holdfast activity:log ${id}`,
  });
}
