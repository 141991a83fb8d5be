import type { ListedActivity } from "../control-plane.ts";
import { formatTimestamp } from "../output/moment.ts";
import type { Column } from "../output/table.ts";

const seconds = (activity: ListedActivity, phase: string): string => activity.timings[phase]?.toFixed(1) ?? "";

/** As Upsun's activity:list has them. */
export const activityColumns: readonly Column<ListedActivity>[] = [
  { name: "id", header: "ID", cell: ({ id }) => id },
  { name: "created", header: "Created", cell: ({ createdAt }) => formatTimestamp(createdAt) },
  {
    name: "completed",
    header: "Completed",
    cell: ({ endedAt }) => (endedAt === null ? "" : formatTimestamp(endedAt)),
  },
  { name: "description", header: "Description", cell: ({ text }) => text },
  { name: "type", header: "Type", cell: ({ type }) => type },
  { name: "progress", header: "Progress", cell: (activity) => `${percentOf(activity)}%` },
  { name: "state", header: "State", cell: ({ state }) => state },
  { name: "result", header: "Result", cell: ({ result }) => result ?? "" },
  { name: "environments", header: "Environment(s)", cell: ({ environment }) => environment },
  { name: "time_execute", header: "Exec time (s)", align: "right", cell: (activity) => seconds(activity, "execute") },
  { name: "time_wait", header: "Wait time (s)", align: "right", cell: (activity) => seconds(activity, "wait") },
];

export const defaultActivityColumns = ["id", "created", "description", "progress", "state", "result"];

/** As the API tells it: of all that have ended 100, by which clients know that they need wait no longer. */
const percentOf = ({ endedAt, percent }: ListedActivity): number => (endedAt === null ? percent : 100);

/** An activity as data, named as in the API. */
export function activityJson(activity: ListedActivity): Record<string, unknown> {
  const { startedAt, endedAt } = activity;
  return {
    id: activity.id,
    type: activity.type,
    project: activity.project,
    environments: [activity.environment],
    text: activity.text,
    state: activity.state,
    result: activity.result,
    outcome: activity.outcome,
    failure: activity.failure,
    completion_percent: percentOf(activity),
    created_at: formatTimestamp(activity.createdAt),
    started_at: startedAt === null ? null : formatTimestamp(startedAt),
    completed_at: endedAt === null ? null : formatTimestamp(endedAt),
    timings: activity.timings,
    parameters: activity.parameters,
    payload: activity.payload,
  };
}
