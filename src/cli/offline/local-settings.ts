import { HoldfastError, type ProjectId } from "../../base/index.ts";
import { operations } from "../../contract/index.ts";
import { type Actor, mergeRetention, type ProjectStore, retentionKey } from "../../control/index.ts";

/** Changes a project's settings in the catalog, by the rules of the API. @throws HoldfastError INPUT_INVALID, STATE_UNUSABLE */
export async function changeLocalSettings(
  projects: ProjectStore,
  project: ProjectId,
  change: unknown,
  actor: Actor,
): Promise<void> {
  const { success, data, error } = operations.updateSettings.body.safeParse(change);
  if (!success) {
    const [issue] = error.issues;
    throw new HoldfastError(
      "INPUT_INVALID",
      `The setting is not as it should be at ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "it does not fit"}`,
      { remedy: "See which there are:  holdfast settings:get" },
    );
  }
  const { data_retention: retention } = data;
  if (retention === undefined) return;
  await projects.changeSettings(
    project,
    (before) => new Map([[retentionKey, mergeRetention(before.get(retentionKey), retention)]]),
    actor,
  );
}
