import { type Activity, hasEnded } from "../../control/index.ts";
import type { Operations, Result } from "../../contract/index.ts";
import { hrefs, links } from "./links.ts";
import { timestamp, timestampOrNull } from "./times.ts";

type ActivityShape = Result<Operations["getActivity"]>;
type AcceptedShape = Result<Operations["createBackup"]>;

/** What a caller may do with an activity now, as far as its state lets them. */
export interface ActivityOffers {
  readonly cancel: boolean;
  /** The backup that it made can be restored. */
  readonly restore?: boolean;
}

export function representActivity(activity: Activity, offers: ActivityOffers): ActivityShape {
  const { project, id, failure, outcome, endedAt, state } = activity;
  const self = hrefs.activity(project, id);
  return {
    id,
    created_at: timestamp(activity.createdAt),
    updated_at: timestamp(activity.updatedAt),
    type: activity.type,
    parameters: { ...activity.parameters },
    project,
    environments: [activity.environment],
    state,
    result: activity.result,
    failure_reason: failure === null ? null : failure.code === "COMMAND_FAILED" ? "shell" : "error",
    started_at: timestampOrNull(activity.startedAt),
    completed_at: timestampOrNull(endedAt),
    cancelled_at: state === "cancelled" ? timestampOrNull(endedAt) : null,
    expires_at: null,
    // Also of a failure: by this, not by the state, Upsun's CLI knows that it need wait no longer.
    completion_percent: hasEnded(activity) ? 100 : activity.percent,
    timings: { ...activity.timings },
    log: "",
    payload: {
      ...activity.payload,
      ...(outcome === null ? {} : { outcome }),
      ...(failure === null ? {} : { failure: { ...failure } }),
    },
    description: htmlOf(activity.text),
    text: activity.text,
    commands: [],
    _links: links({
      self,
      log: `${self}/log`,
      environment: hrefs.environment(project, activity.environment),
      "#cancel": offers.cancel && !hasEnded(activity) && activity.cancelRequestedAt === null && `${self}/cancel`,
      "#restore": offers.restore === true && `${self}/restore`,
    }),
  };
}

/** What is answered to a request that goes on as an activity. */
export function accepted(activity: Activity, offers: ActivityOffers): AcceptedShape {
  return { status: "Accepted", code: 202, _embedded: { activities: [representActivity(activity, offers)] } };
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const htmlOf = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? character);
