import type { ActivityResult, ActivityState, ActivityType } from "./activity.ts";
import type { ActivityFilter } from "./activity-store.ts";

/** One of the queries that together list activities. What is undefined does not matter; a result of null is none. */
export interface ListingPart {
  readonly types: readonly ActivityType[] | undefined;
  readonly states: readonly ActivityState[] | undefined;
  readonly results: readonly ActivityResult[] | null | undefined;
}

/** The results that an activity in a state may have. */
const resultsOf: Readonly<Record<ActivityState, readonly (ActivityResult | null)[]>> = {
  pending: [null],
  in_progress: [null],
  complete: ["success", "failure"],
  cancelled: [null, "failure"],
};

/**
 * The queries that list what passes the filter, each of which finds the newest at one end of an index: one for each type,
 * state and result, since several at once would be sorted whole, and one that is left out would be between the index's
 * columns. The activities of one environment are few enough for one query.
 */
export function planListing(
  filter: Pick<ActivityFilter, "environment" | "types" | "states" | "result">,
): ListingPart[] {
  const { environment, result } = filter;
  const types = filter.types === undefined ? undefined : [...new Set(filter.types)];
  const states = filter.states === undefined ? undefined : [...new Set(filter.states)];
  if (types?.length === 0 || states?.length === 0) return [];
  if (environment !== undefined) {
    return [{ types, states, results: result === undefined ? undefined : [result] }];
  }
  const typeParts = types === undefined ? [undefined] : types.map((type) => [type]);
  const isByState = states !== undefined || result !== undefined;
  return typeParts.flatMap((type): ListingPart[] => {
    if (!isByState) return [{ types: type, states: undefined, results: undefined }];
    return (states ?? (Object.keys(resultsOf) as ActivityState[])).flatMap((state) =>
      resultsOf[state]
        .filter((one) => result === undefined || one === result)
        .map((one) => ({ types: type, states: [state], results: one === null ? null : [one] })),
    );
  });
}
