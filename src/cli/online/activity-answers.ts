import type { EnvironmentId, OperationId, ProjectId } from "../../base/index.ts";
import type { Received } from "../../client/index.ts";
import type { Operations } from "../../contract/index.ts";
import { type ActivityOutcome, type ActivityType, type JsonObject } from "../../control/index.ts";
import type { ListedActivity } from "../control-plane.ts";

type ActivityAnswer = Received<Operations["getActivity"]>;

/** An activity as the server has it, from its answer. */
export function activityOf(answer: ActivityAnswer): ListedActivity {
  const { outcome = null, failure = null, ...payload } = answer.payload;
  return {
    id: answer.id as OperationId,
    project: answer.project as ProjectId,
    environment: (answer.environments[0] ?? "") as EnvironmentId,
    type: answer.type as ActivityType,
    state: answer.state,
    result: answer.result,
    outcome: outcome as ActivityOutcome | null,
    failure: failure as ListedActivity["failure"],
    parameters: answer.parameters as JsonObject,
    payload: payload as JsonObject,
    timings: answer.timings,
    text: answer.text,
    percent: answer.completion_percent,
    createdAt: new Date(answer.created_at),
    startedAt: dateOf(answer.started_at),
    endedAt: dateOf(answer.completed_at),
  };
}

export const dateOf = (text: string | null): Date | null => (text === null ? null : new Date(text));
