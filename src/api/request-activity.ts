import { HoldfastError } from "../base/index.ts";
import type { Activity, CatalogEnvironment, JsonObject, NewActivity } from "../control/index.ts";
import type { Caller, ProjectView } from "./caller.ts";
import type { ApiServices } from "./server-facts.ts";

/** What a caller asks for, once it is known that they may. */
export interface ActivityRequest extends Pick<NewActivity, "type" | "parameters" | "text"> {
  /** On top of what every activity's payload says. */
  readonly payload?: JsonObject;
}

/** Creates the activity, with the payload that Upsun's clients read. @throws HoldfastError ENVIRONMENT_INACTIVE, ... */
export async function requestActivity(
  services: ApiServices,
  caller: Caller,
  view: ProjectView,
  environment: CatalogEnvironment,
  request: ActivityRequest,
): Promise<Activity> {
  const storage = services.configured(view.id)?.storage;
  if (storage === undefined || !environment.declared) {
    throw new HoldfastError(
      "ENVIRONMENT_INACTIVE",
      `The environment ${environment.id} is no longer in the server's configuration.`,
    );
  }
  const { activity } = await services.catalog.activities.create(
    {
      project: view.id,
      environment: environment.id,
      storage,
      ...request,
      payload: {
        user: { id: caller.user.id, display_name: caller.user.displayName },
        project: { id: view.id, title: view.project.title },
        environment: { id: environment.id, title: environment.title, type: environment.type },
        ...request.payload,
      },
    },
    caller.author,
  );
  return activity;
}
