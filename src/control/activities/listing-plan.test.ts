import fc from "fast-check";
import { expect, test } from "vitest";
import type { EnvironmentId } from "../../base/index.ts";
import { type ActivityResult, activityStates, activityTypes } from "./activity.ts";
import { planListing } from "./listing-plan.ts";

const possible = [
  ["pending", null],
  ["in_progress", null],
  ["complete", "success"],
  ["complete", "failure"],
  ["cancelled", null],
  ["cancelled", "failure"],
] as const;

test("finds each activity that passes the filter by one query, and no other", () => {
  const filters = fc.record(
    {
      environment: fc.constant("main" as EnvironmentId),
      types: fc.array(fc.constantFrom(...activityTypes), { maxLength: 4 }),
      states: fc.array(fc.constantFrom(...activityStates), { maxLength: 4 }),
      result: fc.constantFrom<ActivityResult>("success", "failure"),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(
      filters,
      fc.constantFrom(...activityTypes),
      fc.constantFrom(...possible),
      (filter, type, [state, result]) => {
        const passes =
          (filter.types?.includes(type) ?? true) &&
          (filter.states?.includes(state) ?? true) &&
          (filter.result === undefined || filter.result === result);
        const finding = planListing(filter).filter(
          ({ types, states, results }) =>
            (types?.includes(type) ?? true) &&
            (states?.includes(state) ?? true) &&
            (results === undefined ||
              (results === null ? result === null : result !== null && results.includes(result))),
        );
        expect(finding).toHaveLength(passes ? 1 : 0);
      },
    ),
  );
});
