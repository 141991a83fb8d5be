import { describe, expect, test } from "vitest";
import type { EnvironmentId, OperationId, ProjectId } from "../../base/index.ts";
import type { ListedActivity } from "../control-plane.ts";
import { activityColumns, activityJson } from "./activity-columns.ts";

const running: ListedActivity = {
  id: "a" as OperationId,
  project: "shop" as ProjectId,
  environment: "main" as EnvironmentId,
  type: "environment.backup",
  state: "in_progress",
  result: null,
  outcome: null,
  failure: null,
  parameters: {},
  payload: {},
  timings: {},
  text: "a backup",
  percent: 50,
  createdAt: new Date(0),
  startedAt: new Date(1000),
  endedAt: null,
};

describe("an activity's progress", () => {
  test.each([
    ["while it runs", running, 50],
    [
      "once it is cancelled, as a server tells it",
      { ...running, state: "cancelled", result: "failure", endedAt: new Date(2000) } as const,
      100,
    ],
  ])("%s", (_, activity, percent) => {
    expect(activityJson(activity)).toMatchObject({ completion_percent: percent });
    expect(activityColumns.find(({ name }) => name === "progress")?.cell(activity)).toBe(`${percent}%`);
  });
});
